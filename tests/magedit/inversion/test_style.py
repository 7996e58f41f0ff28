"""StyleDiffusion: learned values bring guided sampling back to the trajectory; keys are left alone."""

from __future__ import annotations

from dataclasses import replace

import torch

from magedit.backbones.ddim import guided_noise
from magedit.backbones.stable_diffusion.attention import editing, find_layers, with_values
from magedit.inversion.base import InversionTask
from magedit.inversion.style.loop import ValueMapper, style
from tests.magedit.conftest import relative


def test_the_network_begins_at_the_prompts_own_embedding(task: InversionTask) -> None:
    mapper = ValueMapper(task.latent, task.source)
    assert torch.equal(mapper(), task.source)


def test_values_are_replaced_and_maps_are_not(task: InversionTask) -> None:
    unet, latent = task.denoiser.unet, task.latent
    layers = find_layers(unet, latent.shape[-1])
    plain = task.denoiser.noise(latent, 501, task.source)
    with editing(unet, with_values({}, layers, task.source)):
        assert relative(task.denoiser.noise(latent, 501, task.source), plain) < 1e-5
    with editing(unet, with_values({}, layers, task.empty)):
        assert relative(task.denoiser.noise(latent, 501, task.source), plain) > 1e-3
    assert with_values({}, layers, None) == {}


def test_learned_values_bring_guided_sampling_nearer_to_the_trajectory(task: InversionTask) -> None:
    """At the first step: one guided DDIM step from z_T, with the prompt's own values and with the learned ones."""
    task = replace(task, config=replace(task.config, style_iterations=8))
    inverted = style(task)
    assert len(inverted.values) == task.config.steps
    unet, schedule = task.denoiser.unet, task.denoiser.schedule
    layers = find_layers(unet, task.latent.shape[-1])
    t, start, following = schedule.timesteps[0], inverted.latents[0], inverted.latents[1]
    unconditional = task.denoiser.noise(start, t, task.empty)
    errors = []
    for values in (None, inverted.values[0]):
        with editing(unet, with_values({}, layers, values)):
            noise = guided_noise(unconditional, task.denoiser.noise(start, t, task.source), task.config.guidance_scale)
        errors.append(float((schedule.step(noise, t, start) - following).norm()))
    assert errors[1] < 0.7 * errors[0]
