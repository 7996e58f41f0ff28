"""A parsed instruction: the place of the change and the two prompts."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from magedit.instructions.rewriting import prompts_of
from magedit.instructions.rules import read
from magedit.masks.shapes import WORDS_MAX, MaskShape
from magedit.prompts.checks import in_vocabulary

INSTRUCTION_MAX: Final = 500
"""Longest instruction, in characters."""


class Instruction(BaseModel):
    """A parsed instruction."""

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")

    text: Annotated[str, Field(min_length=1, max_length=INSTRUCTION_MAX)] = Field(
        description="The instruction as sent."
    )
    phrase: Annotated[str, Field(min_length=1, max_length=WORDS_MAX)] | None = Field(
        description="The words that locate the mask if no mask is given; null: the instruction names no place."
    )
    source_prompt: str = Field(
        description="What the picture shows, according to the instruction and the source prompt, if any."
    )
    target_prompt: str = Field(description="What the edited picture shows, likewise.")
    read_by: Literal["rules", "language-model", "checkpoint"] = Field(
        description="The parser; `checkpoint`: passed unchanged to a checkpoint that edits by instruction."
    )
    seconds: float = Field(ge=0, description="Time taken to parse it.")
    warning: str | None = Field(
        default=None, description="Why rules parsed it although a language model is configured."
    )

    @property
    def shape(self) -> MaskShape:
        """The mask shape for its phrase."""
        assert self.phrase is not None, "it does not name a place"
        return MaskShape(words=self.phrase)


ReadInstruction = Callable[[str, str | None, Collection[str] | None], Instruction]
"""Parser: (instruction, source prompt or None, the checkpoint's vocabulary or None) -> parsed instruction.

Raises InvalidEdit if the instruction is not understood.
"""


def read_by_rules(text: str, source: str | None, vocabulary: Collection[str] | None = None) -> Instruction:
    """Read an English instruction by its grammar.

    Raises:
        InstructionNotUnderstood: it matches no known form.
        SeveralFound: the instruction matches several things in the source prompt.
    """
    began = time.perf_counter()
    change = read(text)
    before, after = (in_vocabulary(prompt, vocabulary) for prompt in prompts_of(change, source, vocabulary))
    return Instruction(
        text=text,
        phrase=change.phrase,
        source_prompt=before,
        target_prompt=after,
        read_by="rules",
        seconds=round(time.perf_counter() - began, 4),
    )
