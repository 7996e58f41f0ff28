"""The card of a method, and groups of parameters that several methods read. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from magedit.card import Card, Plan, no_passes
from magedit.config import InjectionParameters, InversionName, MethodName, SamplingParameters, names_of
from magedit.inversion.registry import INVERSIONS
from magedit.measures.passes import Passes
from magedit.measures.report import Stage

InputName = Literal["image", "mask", "source_prompt", "target_prompt", "words", "instruction"]


@dataclass(frozen=True, kw_only=True)
class MethodCard(Card):
    """One method.

    ``inputs`` are the parts of a request that it looks at, ``inversions`` those it can start from (none: it inverts
    nothing), ``parameters`` those that it reads besides ``method`` and ``inversion``; ``plan`` gives the passes of one
    result per stage, without those of the inversion and without ``shared``, those that all results of an edit share.
    ``own_checkpoint``: it has no loop, but a pipeline (`magedit.pipelines.instruct`) and checkpoints of its own, which
    no other method can use.
    """

    name: MethodName
    inputs: tuple[InputName, ...]
    inversions: tuple[InversionName, ...]
    shared: Plan = no_passes
    own_checkpoint: bool = False


WHOLE_EDIT: Final[tuple[InputName, ...]] = ("image", "mask", "source_prompt", "target_prompt")
ALL_INVERSIONS: Final[tuple[InversionName, ...]] = tuple(INVERSIONS)

SAMPLING: Final = (
    *("steps", "guidance_scale", "negative_prompt", "mask_resampling", "mask_softness"),
    *("crop_context", "paste_margin", "eta", "seed", "n", "lora", "clip_skip"),
)
INVERTED: Final = (*SAMPLING, "variation")
MEASURED: Final = ("guided_fraction",)
BLEND: Final = ("blend_fraction",)
START: Final = ("skip_fraction", "masked_content")
PROMPT_TO_PROMPT: Final = tuple(name for name in names_of(InjectionParameters) if name != "feature_replace")
INSTRUCTED: Final = (
    *("steps", "guidance_scale", "image_guidance_scale", "negative_prompt", "crop_context", "paste_margin"),
    *("eta", "seed", "n"),
)


def every_step(config: SamplingParameters) -> Mapping[Stage, Passes]:
    """A pass for each step."""
    return {Stage.EDIT: Passes(forward=config.steps)}


def without_skipped(config: SamplingParameters) -> Mapping[Stage, Passes]:
    """A pass for each step that is taken."""
    return {Stage.EDIT: Passes(forward=config.steps - config.skipped_steps)}


def source_branch(config: InjectionParameters) -> Mapping[Stage, Passes]:
    """The source's passes in the steps: whole ones, or only up to the maps where its latents are stored."""
    if INVERSIONS[config.inversion].keeps_source:
        return {Stage.EDIT: Passes(truncated=max(0, config.source_steps - config.skipped_steps))}
    return {Stage.EDIT: Passes(forward=config.steps - config.skipped_steps)}
