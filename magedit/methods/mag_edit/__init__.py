"""MAG-Edit: mask-based attention-adjusted guidance (Mao et al., arXiv 2312.11396)."""

from __future__ import annotations

from collections.abc import Mapping

from magedit.card import Paper
from magedit.config import EditConfig, GuidanceParameters, InjectionParameters, names_of
from magedit.measures.passes import Passes
from magedit.measures.report import Stage
from magedit.methods.card import (
    ALL_INVERSIONS,
    BLEND,
    INVERTED,
    START,
    WHOLE_EDIT,
    MethodCard,
    source_branch,
)

LOOKS = 2.2
"""Gradients of a guided step when one serves several updates; measured: 53 to 58 in 25 steps of the demo's edits."""

LEVELS = (0.3, 0.45, 0.6, 0.75)
"""Noise levels at which results are compared, as shares of the steps: 0 is the first, of most noise."""
NOISES = 2
"""Noises drawn at each level."""


def _plan(config: EditConfig) -> Mapping[Stage, Passes]:
    looks = min(config.iterations, LOOKS) if config.gradient_tolerance else config.iterations
    gradients = config.guided_steps * looks
    steps = config.steps - config.skipped_steps
    passes = Passes(forward=steps, truncated=gradients, backward=gradients)
    if config.selects:
        # At most: both constraints and no guidance, each with the source's passes, and a comparison of four pictures.
        further = source_branch(config).get(Stage.EDIT, Passes())
        passes = passes + passes + Passes(forward=steps + 4 * len(LEVELS) * NOISES) + further + further
    return {Stage.EDIT: passes}


CARD = MethodCard(
    name="mag-edit",
    summary="Optimises the latent until the edit words win cross attention inside the mask, on Prompt-to-Prompt's "
    "injection or on PnP's.",
    papers=(Paper(title="MAG-Edit", arxiv="2312.11396"),),
    inputs=(*WHOLE_EDIT, "words"),
    inversions=ALL_INVERSIONS,
    parameters=(*INVERTED, *names_of(GuidanceParameters), *names_of(InjectionParameters), *BLEND, *START),
    plan=_plan,
    shared=source_branch,
)
