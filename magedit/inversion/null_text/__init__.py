"""Null-text inversion (Mokady et al., arXiv 2211.09794)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from magedit.card import Paper
from magedit.config import NullTextParameters, names_of
from magedit.inversion.card import OF_A_TRAJECTORY, WITHOUT_UNCONDITIONAL, InversionCard
from magedit.passes import Passes
from magedit.report import Stage

if TYPE_CHECKING:
    from magedit.inversion.base import Invert

PARAMETERS = ("guidance_scale", *names_of(NullTextParameters))


def _load() -> Invert:
    from magedit.inversion.null_text.loop import null_text

    return null_text


def _plan(config: NullTextParameters) -> Mapping[Stage, Passes]:
    updates = config.steps * config.null_text_iterations
    return {Stage.OPTIMIZE: Passes(forward=2 * config.steps + updates, backward=updates)}


CARD = InversionCard(
    name="null-text",
    summary="Optimises each step's unconditional embedding until guided sampling follows the trajectory.",
    papers=(Paper(title="Null-text Inversion", arxiv="2211.09794"),),
    load=_load,
    parameters=PARAMETERS,
    made_with=PARAMETERS,
    plan=_plan,
    keeps_source=True,
    full_precision=True,
    unsuited={**OF_A_TRAJECTORY, **WITHOUT_UNCONDITIONAL},
)
