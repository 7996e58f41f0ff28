"""Virtual inversion: the source is exact without a pass, and the edit differs from it by what the prompts change."""

from __future__ import annotations

from dataclasses import replace

import torch

from magedit.config import EditConfig
from magedit.inversion.base import InversionTask
from magedit.inversion.virtual.loop import consistent_step, virtual
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room, relative

CONFIG = EditConfig(method="p2p", steps=6, inversion="virtual", guidance_scale=3.0, blend_fraction=0.0)


def edit(pipe: MAGEditPipeline, room: Room, target: str, config: EditConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """The edit's latent, and the picture's own."""
    output = pipe(room.image, [room.mask], room.source, target, (), config, output_type="latent")
    assert isinstance(output.images, torch.Tensor)
    return output.images, output.inversion.inverted.latents[-1]


def test_the_source_is_the_picture_under_each_steps_own_noise(task: InversionTask) -> None:
    inverted, process = virtual(task), task.denoiser.process
    assert task.denoiser.meter.forward == 0
    assert inverted.source == inverted.latents
    assert torch.equal(inverted.latents[-1], task.latent)
    noises = [
        (latent - process.signal(t) * task.latent) / process.noise(t)
        for latent, t in zip(inverted.latents[:-1], process.timesteps, strict=True)
    ]
    for noise, other in zip(noises, noises[1:] + noises[:1], strict=True):
        assert abs(float(noise.std()) - 1) < 0.1
        assert abs(float((noise * other).mean())) < 0.1


def test_the_noise_is_always_the_same(task: InversionTask) -> None:
    again = virtual(replace(task, config=replace(task.config, seed=5)))
    assert all(map(torch.equal, virtual(task).latents, again.latents))


def test_where_the_predictions_agree_a_step_leads_from_the_source_to_the_source(task: InversionTask) -> None:
    source, process = virtual(task).latents, task.denoiser.process
    for i in range(task.config.steps):
        following = consistent_step(process, i, source[i], torch.zeros_like(task.latent), source)
        assert torch.equal(following, source[i + 1])


def test_a_step_takes_the_source_noise_and_the_difference_out_and_puts_the_next_noise_in(task: InversionTask) -> None:
    source, process, i = virtual(task).latents, task.denoiser.process, 3
    t, after = process.timesteps[i], process.timesteps[i + 1]
    generator = torch.Generator().manual_seed(1)
    latent, difference = (torch.randn(task.latent.shape, generator=generator) for _ in range(2))
    noise = (source[i] - process.signal(t) * task.latent) / process.noise(t)
    next_noise = (source[i + 1] - process.signal(after) * task.latent) / process.noise(after)
    clean = process.predicted_clean(noise + difference, t, latent)
    wanted = process.add_noise(clean, after, next_noise)
    assert relative(consistent_step(process, i, latent, difference, source), wanted) < 1e-5


def test_an_edit_without_changed_words_reproduces_the_picture(pipe: MAGEditPipeline, room: Room) -> None:
    edited, own = edit(pipe, room, room.source, replace(CONFIG, guidance_scale=1.0))
    assert relative(edited, own) < 1e-4


def test_an_edit_follows_its_prompt(pipe: MAGEditPipeline, room: Room) -> None:
    edited, own = edit(pipe, room, room.target, CONFIG)
    assert relative(edited, own) > 1e-2


def test_another_seed_is_another_edit(pipe: MAGEditPipeline, room: Room) -> None:
    first, _ = edit(pipe, room, room.target, CONFIG)
    other, _ = edit(pipe, room, room.target, replace(CONFIG, seed=1))
    assert relative(other, first) > 1e-3
