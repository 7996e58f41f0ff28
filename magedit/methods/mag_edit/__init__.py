"""MAG-Edit: mask-based attention-adjusted guidance (Mao et al., arXiv 2312.11396)."""

from __future__ import annotations

from collections.abc import Mapping

from magedit.card import Paper
from magedit.config import GuidanceParameters, InjectionParameters, names_of
from magedit.measures.passes import Passes
from magedit.measures.report import Stage
from magedit.methods.card import (
    ALL_INVERSIONS,
    BLEND,
    INVERTED,
    WHOLE_EDIT,
    MethodCard,
    source_branch,
)

LOOKS = 2.2
"""Gradients of a guided step when one serves several updates; measured: 53 to 58 in 25 steps of the demo's edits."""


def _plan(config: GuidanceParameters) -> Mapping[Stage, Passes]:
    looks = min(config.iterations, LOOKS) if config.gradient_tolerance else config.iterations
    gradients = config.guided_steps * looks
    return {Stage.EDIT: Passes(forward=config.steps, truncated=gradients, backward=gradients)}


CARD = MethodCard(
    name="mag-edit",
    summary="Optimises the latent until the edit words win cross attention inside the mask, on Prompt-to-Prompt's "
    "injection or on PnP's.",
    papers=(Paper(title="MAG-Edit", arxiv="2312.11396"),),
    inputs=(*WHOLE_EDIT, "words"),
    inversions=ALL_INVERSIONS,
    parameters=(*INVERTED, *names_of(GuidanceParameters), *names_of(InjectionParameters), *BLEND),
    plan=_plan,
    shared=source_branch,
)
