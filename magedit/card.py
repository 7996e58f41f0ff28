"""Base of method and inversion cards: paper, parameters, planned passes. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Literal

from magedit.config import EditConfig
from magedit.measures.passes import Passes
from magedit.measures.report import Stage

Trait = Literal[
    "diffusion", "flow", "cross-attention", "joint-attention", "unconditional", "embedded-guidance", "few-step"
]
"""Traits of model families that decide which methods suit them: the noise process (``diffusion``, or ``flow``:
rectified), attention to the prompt (separate layers, or one joint sequence), and guidance (an unconditional half of
each pass, or a scale as input); ``few-step``: distilled to sample in a few steps."""

STABLE_DIFFUSION: Final[tuple[Trait, ...]] = ("diffusion", "cross-attention", "unconditional")

Plan = Callable[[EditConfig], Mapping[Stage, Passes]]
"""UNet passes per stage planned by a configuration."""


def no_passes(_: EditConfig) -> Mapping[Stage, Passes]:
    """The plan of a method or an inversion without passes."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Paper:
    """The paper of a method or an inversion."""

    title: str
    arxiv: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """Facts known without loading torch. ``parameters`` are the fields of `EditConfig` that are read; ``unsuited`` maps
    the traits of unsuitable models to the reason, as a clause."""

    name: str
    summary: str
    papers: tuple[Paper, ...]
    parameters: tuple[str, ...] = ()
    plan: Plan = no_passes
    unsuited: Mapping[Trait, str] = field(default_factory=dict)

    def load(self) -> Any:
        """The function of this name in the `loop` module next to the card; imports torch."""
        package, name = type(self).__module__.rpartition(".")[0], self.name.replace("-", "_")
        return getattr(import_module(f"{package}.{name}.loop"), name)

    def reason_against(self, traits: Collection[Trait]) -> str | None:
        """Why it does not suit a model with these traits; None: it does."""
        return next((reason for trait, reason in self.unsuited.items() if trait in traits), None)
