"""Inputs and outputs of an editing method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from magedit.backbones.base import AttentionSite, Conditioning
from magedit.backbones.denoiser import Denoiser
from magedit.config import ConstraintName, EditConfig
from magedit.guidance.constraints import WordTarget
from magedit.inversion.base import Inverted
from magedit.measures.report import StepTrace
from magedit.methods.injection import FeatureInjection, Injection

OnStep = Callable[[int, float, Tensor], Tensor]
"""(step, timestep, edit latent) -> edit latent, after each step."""

OnPrediction = Callable[[Tensor, float, Tensor], None]
"""(prediction, timestep, edit latent that it is of), before each step."""


@dataclass(frozen=True)
class EditTask:
    """One result of an edit of one image; without inversion, the trajectory is only z_0.

    ``source`` and ``target`` are the prompts, ``negative`` stands in for the inversion's unconditional in the edit
    branch. ``mask`` is M, the union of all regions' masks at latent resolution
    (h, w), ``blend_mask`` D, M dilated by 3x3; 0 and 1. ``strength`` (h, w), 0..1, is how much each cell of M may
    change, None: entirely. ``step_size`` is that of guidance. ``guidance_sites`` are
    the layers whose maps are read. ``blend_tokens`` are the edit words' token indices in the source and in the target
    prompt. ``renoised``: the latent that the edit begins with takes fresh noise inside M. ``sites`` are all attention
    layers, ``values[i]`` what cross attention takes its values from in the edit's step i, None: from the target prompt
    (`magedit.inversion.style`). ``candidates`` are the tasks among whose results one is chosen
    (`GuidanceParameters.candidates`); none: the task's own result stands. ``filled`` (1, C, h, w) is the picture whose
    mask is filled from its surroundings; the edit begins with it inside M, None: with the source.
    """

    denoiser: Denoiser
    inverted: Inverted
    config: EditConfig
    source: Conditioning
    target: Conditioning
    negative: Conditioning | None
    injection: Injection | FeatureInjection
    guidance_sites: tuple[AttentionSite, ...]
    words: tuple[WordTarget, ...]
    blend_tokens: tuple[tuple[int, ...], tuple[int, ...]]
    sites: tuple[AttentionSite, ...]
    values: tuple[Tensor | None, ...]
    regions: int
    mask: Tensor
    strength: Tensor | None
    blend_mask: Tensor
    step_size: float
    generator: torch.Generator
    renoised: bool
    on_step: OnStep | None
    on_trace: Callable[[StepTrace], None] | None = None
    on_prediction: OnPrediction | None = None
    candidates: tuple[EditTask, ...] = ()
    filled: Tensor | None = None

    def predicted(self, prediction: Tensor, timestep: float, latent: Tensor) -> None:
        """Report the guided prediction of the step from ``latent``."""
        if self.on_prediction is not None:
            self.on_prediction(prediction, timestep, latent)

    def stepped(self, step: int, timestep: float, latent: Tensor, *, source: Tensor | None = None) -> Tensor:
        """Report the end of a step; returns the latent to continue with, in which weak cells still follow the source.

        ``source``: its latent there; None: the trajectory's, or the picture under fresh noise.
        """
        if self.strength is not None:
            latent = self._held_back(step, timestep, latent, self.strength, source)
        if self.on_step is not None:
            latent = self.on_step(step, timestep, latent)
        self.denoiser.meter.stepped()
        return latent

    def _held_back(self, step: int, timestep: float, latent: Tensor, strength: Tensor, source: Tensor | None) -> Tensor:
        """The latent with the source in the cells whose strength is below the share of the steps that are left
        (Differential Diffusion, arXiv 2306.00950, section 3)."""
        left = 1 - (step + 1) / self.config.steps
        held = (self.mask > 0) & (strength < left)
        if not held.any():
            return latent
        trajectory, process = self.inverted.latents, self.denoiser.process
        if source is None and len(trajectory) > 1:
            source = trajectory[step + 1]
        elif source is None:
            clean = trajectory[-1]
            fresh: Tensor = randn_tensor(clean.shape, generator=self.generator, device=clean.device)
            source = process.add_noise(clean, process.following(timestep), fresh)
        return torch.where(held, source, latent)


@dataclass(frozen=True)
class Selected:
    """A result that was chosen among several: the constraint that guided it, None: no guidance, and the mean squared
    errors of the noise that the model predicts inside the mask under the source and under the target prompt."""

    constraint: ConstraintName | None
    source_error: float
    target_error: float

    @property
    def ratio(self) -> float:
        """By how much the error falls from the source to the target prompt; above 0 the target is likelier."""
        return self.source_error - self.target_error


@dataclass(frozen=True)
class EditedLatent:
    """The edited latent z*_0 (1, C, h, w), the source branch's z_0, and a trace entry per measured step.

    ``attention`` is each region's mean share map over these steps, (side, side); ``attention_steps[k]`` holds the maps
    of the k-th of them. ``mask`` (h, w) of 0 and 1 is what was edited, where the method found that itself.
    ``selected`` tells which of several results this is, and how likely the prompts are in it, where it was chosen.
    """

    latent: Tensor
    source: Tensor
    trace: tuple[StepTrace, ...]
    attention: tuple[Tensor, ...]
    attention_steps: tuple[tuple[Tensor, ...], ...]
    mask: Tensor | None = None
    selected: Selected | None = None


Method = Callable[[Sequence[EditTask]], tuple[EditedLatent, ...]]
"""The results of one edit; their tasks differ in seed and strength and what depends on them."""


def in_turn(method: Callable[[EditTask], EditedLatent]) -> Method:
    """A method whose results share no passes: one after the other."""
    return lambda tasks: tuple(method(task) for task in tasks)
