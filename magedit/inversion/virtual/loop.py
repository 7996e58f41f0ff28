"""Virtual inversion (Xu et al., arXiv 2312.04965, section 3.2): no pass is spent on inverting."""

from __future__ import annotations

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from magedit.backbones.base import DiffusionProcess
from magedit.inversion.base import InversionTask, Inverted

NOISE_SEED = 0
"""Seed of the source's noise: the same for every edit, so that an inversion does not depend on the edit's seed."""


def virtual(task: InversionTask) -> Inverted:
    """The picture under noise drawn for each step, so that the source branch is exact for any prediction."""
    process, generator = task.denoiser.process, torch.Generator("cpu").manual_seed(NOISE_SEED)
    shape, device = task.latent.shape, task.latent.device
    noised = [
        process.add_noise(task.latent, t, randn_tensor(shape, generator=generator, device=device))
        for t in process.timesteps
    ]
    return Inverted((*noised, task.latent), (task.empty,) * task.config.steps, exact=True)


def consistent_step(
    process: DiffusionProcess, step: int, latent: Tensor, difference: Tensor, source: tuple[Tensor, ...]
) -> Tensor:
    """The edit's latent at the start of the next step (denoising diffusion consistent model, section 3.1).

    The noise that is taken out of it is the source's own plus the predictions' ``difference``; the noise that is put
    back is the source's at the next step. The clean latents of edit and source differ by the remaining change.

    Args:
        process: the noise process. step: sampling step i. latent: the edit's latent at its start, (B, C, h, w).
        difference: the edit's prediction minus the source's, of the same shape. source: the source's latents, from z_T
        to z_0.
    """
    t = process.timesteps[step]
    change = (latent - source[step] - process.noise(t) * difference) / process.signal(t)
    return source[step + 1] + process.signal(process.following(t)) * change
