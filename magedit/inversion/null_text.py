"""Null-text inversion (Mokady et al., arXiv 2211.09794, algorithm 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.ddim import trajectory
from magedit.report import Stage
from magedit.schedule import guided_noise

LEARNING_RATE_DECAY = 0.01
"""Fall of the learning rate per step, as a fraction of it (published program: 1e-2 (1 - i / 100))."""

TOLERANCE_GROWTH = 2e-5
"""Growth per step of the error below which a step's updates stop (published program: 1e-5 + 2e-5 i)."""


def null_text(task: InversionTask) -> Inverted:
    """Optimise the unconditional embedding of each step so that guided sampling follows the DDIM trajectory.

    Adam, fresh at each step, on the running embedding; at most ``null_text_iterations`` updates. The next source
    latent is sampled with the optimised embedding and the edit's guidance scale.
    """
    config, denoiser, schedule = task.config, task.denoiser, task.denoiser.schedule
    latents = trajectory(task)
    current, embedding = latents[0], task.empty.float()
    optimised: list[Tensor] = []
    with denoiser.meter.stage(Stage.OPTIMIZE, config.steps):
        for i, t in enumerate(schedule.timesteps):
            conditional = denoiser.noise(current, t, task.source)
            embedding = embedding.detach().clone().requires_grad_(True)
            rate = config.null_text_learning_rate * max(0.0, 1 - LEARNING_RATE_DECAY * i)
            optimizer = torch.optim.Adam([embedding], lr=rate)
            for _ in range(config.null_text_iterations):
                with torch.enable_grad():
                    noise = guided_noise(
                        denoiser.noise(current, t, embedding), conditional, config.guidance_scale
                    )
                    loss = F.mse_loss(schedule.step(noise, t, current), latents[i + 1])
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                denoiser.meter.passed(backward=1)
                if float(loss) < config.null_text_tolerance + TOLERANCE_GROWTH * i:
                    break
            embedding = embedding.detach()
            optimised.append(embedding)
            noise = guided_noise(denoiser.noise(current, t, embedding), conditional, config.guidance_scale)
            current = schedule.step(noise, t, current)
            denoiser.meter.stepped()
    return Inverted(latents, tuple(optimised), exact=False)
