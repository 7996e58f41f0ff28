"""Null-text inversion (Mokady et al., arXiv 2211.09794, algorithm 1)."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from magedit.backbones.base import Conditioning, classifier_free_guidance
from magedit.errors import NotTogether
from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.ddim.loop import trajectory
from magedit.measures.report import Stage

LEARNING_RATE_DECAY = 0.01
"""Fall of the learning rate per step, as a fraction of it (published program: 1e-2 (1 - i / 100))."""

TOLERANCE_GROWTH = 2e-5
"""Growth per step of the error below which a step's updates stop (published program: 1e-5 + 2e-5 i)."""


def null_text(task: InversionTask) -> Inverted:
    """Optimise the unconditional embedding of each step so that guided sampling follows the DDIM trajectory.

    The latents of guided sampling are kept: they are the edit's source branch.

    Raises:
        NotTogether: the model is in half precision, too coarse for Adam's updates and for the error at which they stop.
    """
    backbone = task.denoiser.backbone
    if (dtype := backbone.dtype) is not torch.float32:
        raise NotTogether(
            f"inversion 'null-text' needs a model in float32, this one is in {dtype}: load the checkpoint in float32 "
            f"(MAGEDIT_DTYPE=float32), or use inversion 'direct'",
            field="inversion",
        )
    latents = trajectory(task)
    sampled, empty = [latents[0]], task.empty
    optimised: list[Conditioning] = []
    with task.denoiser.meter.stage(Stage.OPTIMIZE, task.config.steps):
        for i in range(task.config.steps):
            with backbone.one_prefix():
                empty, following = optimise(task, i, sampled[-1], latents[i + 1], empty)
            optimised.append(empty)
            sampled.append(following)
            task.denoiser.meter.stepped()
    return Inverted(latents, tuple(optimised), exact=False, sampled=tuple(sampled))


def optimise(
    task: InversionTask, step: int, current: Tensor, following: Tensor, empty: Conditioning
) -> tuple[Conditioning, Tensor]:
    """One step of the algorithm: Adam, fresh, at most ``null_text_iterations`` updates.

    Args:
        task: the image to invert. step: sampling step i. current: the source latent at the start of the step, (1, C, h,
        w). following: the trajectory's latent at its end, the target of guided sampling. empty: the unconditional
        embedding of the step before.

    Returns:
        The same with optimised hidden states, and the source latent sampled with it at the edit's guidance scale.
    """
    config, denoiser, process = task.config, task.denoiser, task.denoiser.process
    t = process.timesteps[step]
    conditional = denoiser.predict(current, t, task.source)
    embedding = empty.hidden_states.detach().clone().requires_grad_(True)
    rate = config.null_text_learning_rate * max(0.0, 1 - LEARNING_RATE_DECAY * step)
    optimizer = torch.optim.Adam([embedding], lr=rate)
    for _ in range(config.null_text_iterations):
        with torch.enable_grad():
            unconditional = denoiser.predict(current, t, replace(empty, hidden_states=embedding))
            prediction = classifier_free_guidance(unconditional, conditional, config.guidance_scale)
            loss = F.mse_loss(process.step(prediction, t, current), following)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        denoiser.meter.passed(backward=1)
        if float(loss.detach()) < config.null_text_tolerance + TOLERANCE_GROWTH * step:
            break
    empty = replace(empty, hidden_states=embedding.detach())
    prediction = classifier_free_guidance(denoiser.predict(current, t, empty), conditional, config.guidance_scale)
    return empty, process.step(prediction, t, current)
