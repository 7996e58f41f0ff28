"""FlowEdit: inversion-free editing along the flow between two prompts (Kulikov et al., arXiv 2412.08629)."""

from __future__ import annotations

from collections.abc import Mapping

from magedit.card import Paper
from magedit.config import SamplingParameters
from magedit.measures.passes import Passes
from magedit.measures.report import Stage
from magedit.methods.card import MEASURED, WHOLE_EDIT, MethodCard


def _plan(config: SamplingParameters) -> Mapping[Stage, Passes]:
    return {Stage.EDIT: Passes(forward=2 * (config.steps - config.skipped_steps))}


CARD = MethodCard(
    name="flow-edit",
    summary="Follows the difference of the two prompts' velocities from the picture itself, inside the mask; without "
    "inversion.",
    papers=(Paper(title="FlowEdit", arxiv="2412.08629"),),
    inputs=WHOLE_EDIT,
    inversions=(),
    parameters=(
        *("steps", "guidance_scale", "source_guidance_scale", "negative_prompt", "skip_fraction", *MEASURED),
        *("mask_resampling", "mask_softness", "crop_context", "paste_margin", "seed", "n", "lora", "clip_skip"),
    ),
    plan=_plan,
    unsuited={
        "diffusion": "it follows the velocities of a rectified flow; method 'p2p' with inversion 'virtual' does the "
        "same for predicted noise"
    },
)
