"""The outcome of resolving a request: configurations, regions, origins of values, problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from magedit.config import EditConfig, Region
from magedit.config.parameters import invalid_parameter
from magedit.edits.resolved import ResolvedEdit
from magedit.errors import InvalidEdit, RegionMismatch
from magedit.instructions.reading import Instruction
from magedit.measures.meter import planned
from magedit.measures.passes import Passes
from magedit.measures.report import EditWarning
from magedit.prompts.kinds import EditKind

Origin = Literal["given", "preset", "kind", "method", "checkpoint", "default"]
"""Sources of a parameter's value."""


class Parameter(NamedTuple):
    """The value of a parameter and its source."""

    value: Any
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upper limits of one edit."""

    results: int
    regions: int

    def check_regions(self, masks: int) -> None:
        """Raises RegionMismatch if there are more ``masks`` than one edit accepts."""
        if masks > self.regions:
            raise RegionMismatch(
                f"{masks} masks; at most {self.regions} regions are accepted in one edit", field="mask"
            )


@dataclass(kw_only=True)
class Resolution:
    """The outcome of resolving a request, valid or not.

    ``tokens`` counts each prompt's tokens, without start and end; ``unknown`` lists its words outside the checkpoint's
    closed vocabulary. ``parameters`` are those that the (first) method reads. ``problems`` are the reasons to reject
    the request, in the order found.
    """

    kind: EditKind
    source_prompt: str
    target_prompt: str
    configs: tuple[EditConfig, ...]
    regions: tuple[Region, ...]
    instruction: Instruction | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    warnings: tuple[EditWarning, ...] = ()
    tokens: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: list[InvalidEdit] = field(default_factory=list)
    is_comparison: bool = False

    @property
    def is_guided(self) -> bool:
        """Whether any result is guided, so that words matter."""
        return any(config.is_guided for config in self.configs)

    @property
    def passes(self) -> Passes:
        """The planned cost of all results, each method with its own inversion."""
        stages = [stage for config in self.configs for stage in planned(config, inverted=False).values()]
        return sum(stages, Passes())

    def edit(self) -> ResolvedEdit:
        """The resolved edit.

        Raises:
            InvalidEdit: the first of the problems, if there are any.
        """
        if self.problems:
            raise self.problems[0]
        try:
            return ResolvedEdit(
                source_prompt=self.source_prompt,
                target_prompt=self.target_prompt,
                instruction=self.instruction,
                regions=self.regions,
                warnings=self.warnings,
                kind=self.kind,
                config=self.configs[0],
                compare=self.configs if self.is_comparison else (),
            )
        except ValidationError as error:
            raise invalid_parameter(error) from error
