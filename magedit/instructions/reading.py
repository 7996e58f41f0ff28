"""An instruction as it was read: where the change is, and the two prompts."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from magedit.instructions.rewriting import prompts_of
from magedit.instructions.rules import read
from magedit.masks.phrases import bare
from magedit.masks.shapes import WORDS_MAX, MaskShape

INSTRUCTION_MAX: Final = 500
"""Longest instruction, in characters."""


class Instruction(BaseModel):
    """What an instruction was taken for."""

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")

    text: Annotated[str, Field(min_length=1, max_length=INSTRUCTION_MAX)] = Field(description="As it was sent.")
    phrase: Annotated[str, Field(min_length=1, max_length=WORDS_MAX)] | None = Field(
        description="The words that a mask is found by where none is given; null: it does not say where."
    )
    source_prompt: str = Field(description="What the picture shows, by the instruction and the source prompt, if any.")
    target_prompt: str = Field(description="What the edited picture shows, by the same.")
    read_by: Literal["rules", "language-model", "checkpoint"] = Field(
        description="What read it; `checkpoint`: an instructed one takes it as it stands."
    )
    seconds: float = Field(ge=0, description="How long that took.")
    warning: str | None = Field(default=None, description="Why rules read it although there is a language model.")

    def shape(self, *, detects: bool) -> MaskShape:
        """The mask by its phrase; ``detects``: a detector finds it, else the edit model's attention."""
        assert self.phrase is not None, "it does not say where"
        return MaskShape(words=self.phrase if detects else bare(self.phrase))


ReadInstruction = Callable[[str, str | None, Collection[str] | None], Instruction]
"""(instruction, source prompt if there is one, words that the checkpoint knows or None) -> what it was taken for.

Raises InvalidEdit: it is not understood.
"""


def read_by_rules(text: str, source: str | None, vocabulary: Collection[str] | None = None) -> Instruction:
    """Read an English instruction by its grammar.

    Raises:
        InstructionNotUnderstood: it is of no form that is known.
        SeveralFound: the source prompt names several things that it may be about.
    """
    began = time.perf_counter()
    change = read(text)
    before, after = prompts_of(change, source, vocabulary)
    return Instruction(
        text=text,
        phrase=change.phrase,
        source_prompt=before,
        target_prompt=after,
        read_by="rules",
        seconds=round(time.perf_counter() - began, 4),
    )
