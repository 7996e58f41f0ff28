"""DDIM inversion: the trajectory, and the way back."""

from __future__ import annotations

import torch

from magedit.inversion.base import InversionTask
from magedit.inversion.ddim.loop import ddim, trajectory


def test_the_trajectory_starts_at_noise_and_ends_at_the_image(task: InversionTask) -> None:
    latents = trajectory(task)
    assert len(latents) == task.config.steps + 1
    assert torch.equal(latents[-1], task.latent)
    assert task.denoiser.meter.forward == task.config.steps


def test_each_step_follows_the_noise_of_the_latent_below_at_the_timestep_above(task: InversionTask) -> None:
    inverted = ddim(task)
    schedule = task.denoiser.process
    for i, t in enumerate(schedule.timesteps):
        here, below = inverted.latents[i], inverted.latents[i + 1]
        noise = task.denoiser.predict(below, t, task.source)
        torch.testing.assert_close(schedule.invert_step(noise, t, below), here, rtol=1e-4, atol=1e-4)


def test_the_empty_prompt_is_the_unconditional(task: InversionTask) -> None:
    inverted = ddim(task)
    assert not inverted.exact
    assert all(each is task.empty for each in inverted.unconditional)
