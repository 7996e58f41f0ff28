"""StyleDiffusion: learned values bring guided sampling back to the trajectory; keys are left alone."""

from __future__ import annotations

from dataclasses import replace

import torch

from magedit.backbones.base import classifier_free_guidance, with_values
from magedit.inversion.base import InversionTask
from magedit.inversion.style.loop import ValueMapper, style
from tests.magedit.conftest import relative


def test_the_network_begins_at_the_prompts_own_embedding(task: InversionTask) -> None:
    mapper = ValueMapper(task.latent, task.source.hidden_states)
    assert torch.equal(mapper(), task.source.hidden_states)


def test_values_are_replaced_and_maps_are_not(task: InversionTask) -> None:
    denoiser, latent = task.denoiser, task.latent
    sites = denoiser.backbone.sites
    plain = task.denoiser.predict(latent, 501, task.source)
    with denoiser.editing(with_values({}, sites, task.source.hidden_states)):
        assert relative(task.denoiser.predict(latent, 501, task.source), plain) < 1e-5
    with denoiser.editing(with_values({}, sites, task.empty.hidden_states)):
        assert relative(task.denoiser.predict(latent, 501, task.source), plain) > 1e-3
    assert with_values({}, sites, None) == {}


def test_learned_values_bring_guided_sampling_nearer_to_the_trajectory(task: InversionTask) -> None:
    """At the first step: one guided DDIM step from z_T, with the prompt's own values and with the learned ones."""
    task = replace(task, config=replace(task.config, style_iterations=8))
    inverted = style(task)
    assert len(inverted.values) == task.config.steps
    denoiser, schedule = task.denoiser, task.denoiser.process
    t, start, following = schedule.timesteps[0], inverted.latents[0], inverted.latents[1]
    unconditional = task.denoiser.predict(start, t, task.empty)
    errors = []
    for values in (None, inverted.values[0]):
        with denoiser.editing(with_values({}, denoiser.backbone.sites, values)):
            noise = classifier_free_guidance(
                unconditional, task.denoiser.predict(start, t, task.source), task.config.guidance_scale
            )
        errors.append(float((schedule.step(noise, t, start) - following).norm()))
    assert errors[1] < 0.7 * errors[0]
