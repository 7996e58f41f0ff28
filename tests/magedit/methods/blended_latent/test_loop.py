"""Blended Latent Diffusion: outside the mask there is nothing but the noised source."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from magedit.backbones.ddim import DDIM
from magedit.config import EditConfig
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room
from tests.magedit.methods.conftest import cells, clean_of, latent_of

CONFIG = EditConfig(method="blended-latent", steps=8, seed=5)


def test_outside_the_mask_every_latent_is_the_noised_source(pipe: MAGEditPipeline, room: Room) -> None:
    seen: list[tuple[int, Tensor]] = []

    def look(_pipe: Any, _step: int, timestep: int, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append((timestep, tensors["latents"]))
        return tensors

    output = pipe(
        room.image, [room.mask], room.source, room.target, (), CONFIG, output_type="latent", callback_on_step_end=look
    )
    schedule = DDIM.from_scheduler(pipe.scheduler, CONFIG.steps)
    clean, outside = clean_of(output), cells(room.mask, 32) == 0
    generator = torch.Generator().manual_seed(5)
    torch.randn(clean.shape, generator=generator)  # the start's
    for timestep, latent in seen:
        noised = schedule.add_noise(clean, schedule.following(timestep), torch.randn(clean.shape, generator=generator))
        assert torch.equal(latent[..., outside], noised[..., outside])
    assert torch.equal(latent_of(output)[..., outside], clean[..., outside])
    assert not torch.allclose(latent_of(output)[..., ~outside], clean[..., ~outside])


def test_it_starts_at_a_quarter_of_the_steps_and_inverts_nothing(pipe: MAGEditPipeline, room: Room) -> None:
    kept: list[Any] = []
    output = pipe(room.image, [room.mask], room.source, room.target, (), CONFIG, on_inverted=kept.append)
    assert output.measures.unet_forward == 6
    assert not kept
    assert len(output.inversion.inverted.latents) == 1


def test_the_seed_makes_the_result(pipe: MAGEditPipeline, room: Room) -> None:
    one, again, other = (
        latent_of(
            pipe(
                room.image,
                [room.mask],
                room.source,
                room.target,
                (),
                EditConfig(method="blended-latent", steps=3, seed=seed),
                output_type="latent",
            )
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
