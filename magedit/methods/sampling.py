"""One sampling step of an edit, as every method takes it: classifier-free guidance, then DDIM."""

from __future__ import annotations

from math import sqrt

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from magedit.methods.base import EditTask
from magedit.schedule import guided_noise


def guided_pass(
    task: EditTask, i: int, t: int, latent: Tensor, embedding: Tensor, negative: Tensor | None = None
) -> Tensor:
    """Noise under classifier-free guidance, both halves in one batch, the conditional one last; ``negative`` stands in
    for the inversion's unconditional embedding."""
    scale = task.config.guidance_scale
    if scale == 1:
        return task.denoiser.noise(latent, t, embedding)
    unconditional = task.inverted.unconditional[i] if negative is None else negative
    both = task.denoiser.noise(
        torch.cat([latent, latent]), t, torch.cat([unconditional.to(embedding.dtype), embedding])
    )
    return guided_noise(both[:1], both[1:], scale)


def advance(task: EditTask, i: int, t: int, latent: Tensor) -> Tensor:
    """The edit's latent one DDIM step further, under the target prompt and the edit's own ``eta``."""
    noise = guided_pass(task, i, t, latent, task.target, task.negative)
    eta = task.config.eta
    return task.denoiser.schedule.step(noise, t, latent, eta=eta, fresh=fresh_noise(task) if eta > 0 else None)


def first_latent(task: EditTask, i: int, t: int) -> Tensor:
    """The latent that an edit along the trajectory begins with at step i: the trajectory's own, or, if the result is
    ``renoised``, with its noise redrawn inside M by ``variation``."""
    latents = task.inverted.latents
    if not task.renoised:
        return latents[i]
    alpha = task.denoiser.schedule.alpha(t)
    noise = (latents[i] - sqrt(alpha) * latents[-1]) / sqrt(1 - alpha)
    return latents[i] + sqrt(1 - alpha) * task.mask * (mixed(noise, fresh_noise(task), task.config.variation) - noise)


def mixed(noise: Tensor, fresh: Tensor, share: float) -> Tensor:
    """sqrt(1 - share^2) noise + share fresh: of unit deviation where both are, ``share`` in 0..1."""
    return sqrt(1 - share**2) * noise + share * fresh


def fresh_noise(task: EditTask) -> Tensor:
    """Standard normal noise of the latent's shape from the edit's generator."""
    clean = task.inverted.latents[-1]
    noise: Tensor = randn_tensor(clean.shape, generator=task.generator, device=clean.device)
    return noise
