"""StyleDiffusion: prompt-embedding inversion (Li et al., arXiv 2303.15649)."""

from __future__ import annotations

from collections.abc import Mapping

from magedit.card import Paper
from magedit.config import StyleParameters, names_of
from magedit.inversion.card import OF_A_TRAJECTORY, InversionCard
from magedit.measures.passes import Passes
from magedit.measures.report import Stage


def _plan(config: StyleParameters) -> Mapping[Stage, Passes]:
    updates = sum(map(config.style_updates, range(config.steps)))
    return {Stage.OPTIMIZE: Passes(forward=2 * config.steps + updates, truncated=config.steps, backward=updates)}


CARD = InversionCard(
    name="style",
    summary="Trains a small network per picture for the values of cross attention; keys are unchanged.",
    papers=(Paper(title="StyleDiffusion", arxiv="2303.15649"),),
    parameters=("guidance_scale", *names_of(StyleParameters)),
    made_with=("guidance_scale", "style_iterations"),
    plan=_plan,
    unsuited={
        **OF_A_TRAJECTORY,
        "joint-attention": "it trains the values of cross attention, and the model has no separate cross attention",
    },
)
