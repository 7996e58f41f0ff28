"""Null-text inversion: optimisation brings guided sampling back to the trajectory."""

from __future__ import annotations

from dataclasses import replace

import torch

from magedit.backbones.ddim import guided_noise
from magedit.inversion.base import InversionTask
from magedit.inversion.ddim.loop import trajectory
from magedit.inversion.null_text.loop import null_text, optimise


def test_optimisation_brings_the_guided_step_closer_to_the_trajectory(task: InversionTask) -> None:
    task = replace(task, config=replace(task.config, null_text_tolerance=0.0))
    latents = trajectory(task)
    t = task.denoiser.schedule.timesteps[0]
    plain = task.denoiser.schedule.step(
        guided_noise(
            task.denoiser.noise(latents[0], t, task.empty),
            task.denoiser.noise(latents[0], t, task.source),
            task.config.guidance_scale,
        ),
        t,
        latents[0],
    )
    embedding, reached = optimise(task, 0, latents[0], latents[1], task.empty)
    assert not torch.equal(embedding, task.empty)
    assert (reached - latents[1]).norm() < (plain - latents[1]).norm()


def test_updates_stop_once_the_error_is_small(task: InversionTask) -> None:
    task = replace(task, config=replace(task.config, null_text_tolerance=1e9))
    null_text(task)
    steps = task.config.steps
    assert task.denoiser.meter.backward == steps
    assert task.denoiser.meter.forward == steps + 3 * steps


def test_each_step_has_its_own_embedding_without_gradient(task: InversionTask) -> None:
    inverted = null_text(task)
    assert len(inverted.unconditional) == task.config.steps
    assert not any(embedding.requires_grad for embedding in inverted.unconditional)
    assert not torch.equal(inverted.unconditional[0], inverted.unconditional[-1])
