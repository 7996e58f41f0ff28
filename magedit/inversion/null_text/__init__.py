"""Null-text inversion (Mokady et al., arXiv 2211.09794)."""

from __future__ import annotations

from collections.abc import Mapping

from magedit.card import Paper
from magedit.config import NullTextParameters, names_of
from magedit.inversion.card import OF_A_TRAJECTORY, WITHOUT_UNCONDITIONAL, InversionCard
from magedit.measures.passes import Passes
from magedit.measures.report import Stage

PARAMETERS = ("guidance_scale", *names_of(NullTextParameters))


def _plan(config: NullTextParameters) -> Mapping[Stage, Passes]:
    updates = config.steps * config.null_text_iterations
    return {Stage.OPTIMIZE: Passes(forward=2 * config.steps + updates, backward=updates)}


CARD = InversionCard(
    name="null-text",
    summary="Optimises each step's unconditional embedding until guided sampling follows the trajectory.",
    papers=(Paper(title="Null-text Inversion", arxiv="2211.09794"),),
    parameters=PARAMETERS,
    made_with=PARAMETERS,
    plan=_plan,
    keeps_source=True,
    full_precision=True,
    unsuited={**OF_A_TRAJECTORY, **WITHOUT_UNCONDITIONAL},
)
