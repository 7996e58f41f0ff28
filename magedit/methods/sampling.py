"""One sampling step of an edit, as every method takes it: classifier-free guidance, then DDIM."""

from __future__ import annotations

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from magedit.methods.base import EditTask
from magedit.schedule import guided_noise


def guided_pass(task: EditTask, i: int, t: int, latent: Tensor, embedding: Tensor) -> Tensor:
    """Noise under classifier-free guidance, both halves in one batch, the conditional one last."""
    scale = task.config.guidance_scale
    if scale == 1:
        return task.denoiser.noise(latent, t, embedding)
    unconditional = task.inverted.unconditional[i].to(embedding.dtype)
    both = task.denoiser.noise(torch.cat([latent, latent]), t, torch.cat([unconditional, embedding]))
    return guided_noise(both[:1], both[1:], scale)


def advance(task: EditTask, i: int, t: int, latent: Tensor) -> Tensor:
    """The edit's latent one DDIM step further, under the target prompt and the edit's own ``eta``."""
    noise = guided_pass(task, i, t, latent, task.target)
    eta = task.config.eta
    return task.denoiser.schedule.step(noise, t, latent, eta=eta, fresh=fresh_noise(task) if eta > 0 else None)


def fresh_noise(task: EditTask) -> Tensor:
    """Standard normal noise of the latent's shape from the edit's generator."""
    clean = task.inverted.latents[-1]
    noise: Tensor = randn_tensor(clean.shape, generator=task.generator, device=clean.device)
    return noise
