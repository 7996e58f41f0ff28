"""SINE: single-image editing with a model tuned on the one picture (Zhang et al., arXiv 2212.04489)."""

from __future__ import annotations

from collections.abc import Mapping

from magedit.card import Paper
from magedit.config import TuningParameters, names_of
from magedit.measures.passes import Passes
from magedit.measures.report import Stage
from magedit.methods.card import BLEND, MEASURED, SAMPLING, WHOLE_EDIT, MethodCard


def _plan(config: TuningParameters) -> Mapping[Stage, Passes]:
    return {Stage.EDIT: Passes(forward=config.steps + config.tuned_steps)}


def _tuning(config: TuningParameters) -> Mapping[Stage, Passes]:
    return {Stage.OPTIMIZE: Passes(forward=config.tune_steps, backward=config.tune_steps)}


CARD = MethodCard(
    name="sine",
    summary="Tunes a copy of the model on the one picture, then samples under both models' guidance.",
    papers=(Paper(title="SINE", arxiv="2212.04489"),),
    inputs=WHOLE_EDIT,
    inversions=(),
    parameters=(*SAMPLING, *MEASURED, *BLEND, *names_of(TuningParameters)),
    unsuited={"few-step": "training it on one picture undoes what it was distilled to"},
    plan=_plan,
    shared=_tuning,
)
