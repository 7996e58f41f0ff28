"""Null-text inversion: optimisation brings guided sampling back to the trajectory."""

from __future__ import annotations

from dataclasses import replace

import torch

from magedit.backbones.base import classifier_free_guidance
from magedit.inversion.base import InversionTask
from magedit.inversion.ddim.loop import trajectory
from magedit.inversion.null_text.loop import null_text, optimise


def test_optimisation_brings_the_guided_step_closer_to_the_trajectory(task: InversionTask) -> None:
    task = replace(task, config=replace(task.config, null_text_tolerance=0.0))
    latents = trajectory(task)
    t = task.denoiser.process.timesteps[0]
    plain = task.denoiser.process.step(
        classifier_free_guidance(
            task.denoiser.predict(latents[0], t, task.empty),
            task.denoiser.predict(latents[0], t, task.source),
            task.config.guidance_scale,
        ),
        t,
        latents[0],
    )
    empty, reached = optimise(task, 0, latents[0], latents[1], task.empty)
    assert not torch.equal(empty.hidden_states, task.empty.hidden_states)
    assert (reached - latents[1]).norm() < (plain - latents[1]).norm()


def test_updates_stop_once_the_error_is_small(task: InversionTask) -> None:
    config = replace(task.config)
    # Beyond the parameter's bounds: the error on random weights is larger than any that is sensible.
    object.__setattr__(config, "null_text_tolerance", 1e9)
    task = replace(task, config=config)
    null_text(task)
    steps = task.config.steps
    assert task.denoiser.meter.backward == steps
    assert task.denoiser.meter.forward == steps + 3 * steps


def test_each_step_has_its_own_embedding_without_gradient(task: InversionTask) -> None:
    inverted = null_text(task)
    assert len(inverted.unconditional) == task.config.steps
    learned = [each.hidden_states for each in inverted.unconditional]
    assert not any(each.requires_grad for each in learned)
    assert not torch.equal(learned[0], learned[-1])
