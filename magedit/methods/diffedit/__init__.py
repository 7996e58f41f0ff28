"""DiffEdit (Couairon et al., arXiv 2210.11427)."""

from __future__ import annotations

from collections.abc import Mapping

from magedit.card import Paper
from magedit.config import OwnMaskParameters, names_of
from magedit.measures.passes import Passes
from magedit.measures.report import Stage
from magedit.methods.card import ALL_INVERSIONS, INVERTED, MEASURED, WHOLE_EDIT, MethodCard, without_skipped


def _plan(config: OwnMaskParameters) -> Mapping[Stage, Passes]:
    contrast = config.mask_maps if config.mask_source == "own" else 0
    return {Stage.EDIT: without_skipped(config)[Stage.EDIT] + Passes(forward=contrast)}


CARD = MethodCard(
    name="diffedit",
    summary="Decodes the target prompt from a middle noise level inside the mask, the trajectory outside; optionally "
    "computes the mask itself.",
    papers=(Paper(title="DiffEdit", arxiv="2210.11427"),),
    inputs=WHOLE_EDIT,
    # Both need a source branch, which this method does not sample: style learns its values, virtual follows it.
    inversions=tuple(name for name in ALL_INVERSIONS if name not in {"style", "virtual"}),
    parameters=(*INVERTED, *MEASURED, "skip_fraction", *names_of(OwnMaskParameters)),
    unsuited={"few-step": "it starts from an inversion, and a distilled few-step model cannot be inverted"},
    plan=_plan,
)
