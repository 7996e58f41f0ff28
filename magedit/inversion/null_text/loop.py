"""Null-text inversion (Mokady et al., arXiv 2211.09794, algorithm 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from magedit.backbones.ddim import guided_noise
from magedit.backbones.stable_diffusion.prefix_cache import one_prefix
from magedit.errors import NotTogether
from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.ddim.loop import trajectory
from magedit.report import Stage

LEARNING_RATE_DECAY = 0.01
"""Fall of the learning rate per step, as a fraction of it (published program: 1e-2 (1 - i / 100))."""

TOLERANCE_GROWTH = 2e-5
"""Growth per step of the error below which a step's updates stop (published program: 1e-5 + 2e-5 i)."""


def null_text(task: InversionTask) -> Inverted:
    """Optimise the unconditional embedding of each step so that guided sampling follows the DDIM trajectory.

    What guided sampling arrives at is kept: the edit's source branch is the same sampling again.

    Raises:
        NotTogether: the UNet is in half precision, in which Adam's updates and the error that they end at are lost.
    """
    if task.denoiser.dtype is not torch.float32:
        raise NotTogether(
            f"inversion 'null-text' needs a UNet in float32, this one is in {task.denoiser.dtype}: load the checkpoint "
            "in float32 (MAGEDIT_DTYPE=float32), or take inversion 'direct'",
            field="inversion",
        )
    latents = trajectory(task)
    sampled, embedding = [latents[0]], task.empty.float()
    optimised: list[Tensor] = []
    with task.denoiser.meter.stage(Stage.OPTIMIZE, task.config.steps):
        for i in range(task.config.steps):
            with one_prefix(task.denoiser.unet):
                embedding, following = optimise(task, i, sampled[-1], latents[i + 1], embedding)
            optimised.append(embedding)
            sampled.append(following)
            task.denoiser.meter.stepped()
    return Inverted(latents, tuple(optimised), exact=False, sampled=tuple(sampled))


def optimise(
    task: InversionTask, step: int, current: Tensor, following: Tensor, embedding: Tensor
) -> tuple[Tensor, Tensor]:
    """One step of the algorithm: Adam, fresh, at most ``null_text_iterations`` updates.

    Args:
        task: the image to invert.
        step: sampling step i.
        current: the source latent at the start of the step, (1, C, h, w).
        following: the trajectory's latent at its end, which guided sampling shall meet.
        embedding: the running unconditional embedding, (1, tokens, width).

    Returns:
        The optimised embedding, and the source latent sampled with it at the edit's guidance scale.
    """
    config, denoiser, schedule = task.config, task.denoiser, task.denoiser.schedule
    t = schedule.timesteps[step]
    conditional = denoiser.noise(current, t, task.source)
    embedding = embedding.detach().clone().requires_grad_(True)
    rate = config.null_text_learning_rate * max(0.0, 1 - LEARNING_RATE_DECAY * step)
    optimizer = torch.optim.Adam([embedding], lr=rate)
    for _ in range(config.null_text_iterations):
        with torch.enable_grad():
            noise = guided_noise(denoiser.noise(current, t, embedding), conditional, config.guidance_scale)
            loss = F.mse_loss(schedule.step(noise, t, current), following)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        denoiser.meter.passed(backward=1)
        if float(loss.detach()) < config.null_text_tolerance + TOLERANCE_GROWTH * step:
            break
    embedding = embedding.detach()
    noise = guided_noise(denoiser.noise(current, t, embedding), conditional, config.guidance_scale)
    return embedding, schedule.step(noise, t, current)
