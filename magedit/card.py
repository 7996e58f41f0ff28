"""Base of method and inversion cards: paper, parameters, planned passes. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from magedit.config import EditConfig
from magedit.passes import Passes
from magedit.report import Stage

Plan = Callable[[EditConfig], Mapping[Stage, Passes]]
"""The UNet passes per stage that a configuration plans."""


def no_passes(_: EditConfig) -> Mapping[Stage, Passes]:
    """The plan of what takes no passes."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Where a method or an inversion comes from."""

    title: str
    arxiv: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is to be known without loading torch. ``parameters`` are the fields of `EditConfig` that are read."""

    summary: str
    papers: tuple[Paper, ...]
    parameters: tuple[str, ...] = ()
    plan: Plan = no_passes
