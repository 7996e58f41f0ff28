"""`ResolvedEdit`: an edit with every decision made, as the record keeps it and the worker runs it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from annotated_types import MaxLen
from pydantic import BaseModel, ConfigDict, Field

from magedit.config import EditConfig, Region
from magedit.edits.asked import PROMPT_MAX, AskedEdit, Prompt, doc_of
from magedit.instructions.reading import Instruction
from magedit.measures.report import EditWarning
from magedit.prompts.kinds import EditKind

SCHEMA_VERSION: Final = 1


class ResolvedEdit(BaseModel):
    """A valid edit, resolved for one checkpoint; masks pair with `regions`.

    Made by `magedit.edits.resolve.resolve`. Bounds are checked even on existing instances, so that every record written
    can be read back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION, description="Version of this form of a request.")
    source_prompt: Annotated[str, MaxLen(PROMPT_MAX)] = Field(description="What the image shows.")
    target_prompt: Prompt = Field(description=doc_of(AskedEdit, "target_prompt"))
    instruction: Instruction | None = Field(default=None, description="The parsed instruction.")
    regions: tuple[Region, ...] = Field(min_length=1, description="One per mask, in order.")
    warnings: tuple[EditWarning, ...] = Field(default=(), description="Warnings about the accepted edit.")
    kind: EditKind = Field(default="attribute", description="The kind of edit, with `auto` resolved.")
    config: EditConfig = Field(default_factory=EditConfig, description="How to edit.")
    compare: tuple[EditConfig, ...] = Field(default=(), max_length=8, description=doc_of(AskedEdit, "compare"))

    @property
    def configs(self) -> tuple[EditConfig, ...]:
        """One configuration per method."""
        return self.compare or (self.config,)

    @property
    def takes_room(self) -> bool:
        """Whether the instruction puts an object of another shape in the thing's place, which needs a larger mask.
        InstructEdit edits the thing's own mask, as published."""
        return self.kind == "replacement" and all(config.method != "instruct-edit" for config in self.configs)

    @property
    def results(self) -> int:
        """Number of results over all methods."""
        return sum(config.results for config in self.configs)
