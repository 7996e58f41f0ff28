"""One sampling step of an edit, as every method takes it: classifier-free guidance, then DDIM."""

from __future__ import annotations

from math import sqrt

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from magedit.backbones.ddim import guided_noise
from magedit.inversion.proximal.loop import RECONSTRUCTION_BELOW, prox
from magedit.methods.base import EditTask


def guided_pass(task: EditTask, i: int, t: int, latent: Tensor, embedding: Tensor) -> Tensor:
    """Noise under classifier-free guidance."""
    return guided_noise(*halves(task, i, t, latent, embedding), task.config.guidance_scale)


def advance(task: EditTask, i: int, t: int, latent: Tensor) -> Tensor:
    """The edit's latent one step further, under the target prompt: a pass of its own, then `follow`."""
    return follow(task, t, latent, *halves(task, i, t, latent, task.target, task.negative))


def follow(task: EditTask, t: int, latent: Tensor, unconditional: Tensor, conditional: Tensor) -> Tensor:
    """The edit's latent one DDIM step further along its noise's halves, under guidance and the edit's own ``eta``.

    With inversion `proximal` guidance is cut by `prox`; in the late steps the clean picture that the step predicts goes
    ``proximal_reconstruction`` of the way to the source where nothing of guidance was left (arXiv 2306.05414, 3.3).
    """
    config, schedule = task.config, task.denoiser.schedule
    settled = None
    if config.inversion == "proximal":
        left, settled = prox(conditional - unconditional, config.proximal_norm, config.proximal_quantile)
        conditional = unconditional + left
    noise = guided_noise(unconditional, conditional, config.guidance_scale)
    fresh = fresh_noise(task) if config.eta > 0 else None
    following = schedule.step(noise, t, latent, eta=config.eta, fresh=fresh)
    if settled is not None and config.proximal_reconstruction > 0 and t < RECONSTRUCTION_BELOW:
        here, there = schedule.alpha(t), schedule.alpha(t - schedule.stride)
        clean = (latent - sqrt(1 - here) * noise) / sqrt(here)
        pull = config.proximal_reconstruction * settled * (clean - task.inverted.latents[-1])
        following = following - sqrt(there) * pull
    return following


def halves(
    task: EditTask, i: int, t: int, latents: Tensor, embedding: Tensor, negative: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Unconditional and conditional noise, each (m, C, h, w), in one batch, the conditional half last; twice the latter
    at scale 1.

    ``latents`` (m, C, h, w) are of m results of one edit, of which ``task`` is any: they share the prompts.
    ``embedding`` (1, tokens, width) is the conditional one, ``negative`` stands in for the inversion's unconditional.
    """
    results = len(latents)
    if task.config.guidance_scale == 1:
        noise = task.denoiser.noise(latents, t, embedding.expand(results, -1, -1), results=results)
        return noise, noise
    unconditional = task.inverted.unconditional[i] if negative is None else negative
    prompts = torch.cat([unconditional.to(embedding.dtype), embedding]).repeat_interleave(results, 0)
    both = task.denoiser.noise(latents.repeat(2, 1, 1, 1), t, prompts, results=results)
    return both[:results], both[results:]


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
