"""Base of method and inversion cards: paper, parameters, planned passes. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, Literal

from magedit.config import EditConfig
from magedit.passes import Passes
from magedit.report import Stage

Trait = Literal[
    "diffusion", "flow", "cross-attention", "joint-attention", "unconditional", "embedded-guidance", "few-step"
]
"""What tells model families apart, as far as methods go: the noise process (``diffusion``, or ``flow``: rectified), how
the picture attends to the prompt (layers of its own, or in one sequence with itself), and guidance (by an unconditional
half of each pass, or by a scale that the model is told); ``few-step``: distilled to sample in a few steps."""

STABLE_DIFFUSION: Final[tuple[Trait, ...]] = ("diffusion", "cross-attention", "unconditional")

Plan = Callable[[EditConfig], Mapping[Stage, Passes]]
"""The UNet passes per stage that a configuration plans."""


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
    """Facts that are known without loading torch. ``parameters`` are the fields of `EditConfig` that are read;
    ``unsuited`` maps the traits of models that it does not suit to the reason, as a clause."""

    name: str
    summary: str
    papers: tuple[Paper, ...]
    parameters: tuple[str, ...] = ()
    plan: Plan = no_passes
    unsuited: Mapping[Trait, str] = field(default_factory=dict)

    def load(self) -> Any:
        """The function of this name in the module `loop` beside the card; imports torch."""
        package, name = type(self).__module__.rpartition(".")[0], self.name.replace("-", "_")
        return getattr(import_module(f"{package}.{name}.loop"), name)

    def reason_against(self, traits: Collection[Trait]) -> str | None:
        """Why it does not suit a model of these traits; None: it does."""
        return next((reason for trait, reason in self.unsuited.items() if trait in traits), None)
