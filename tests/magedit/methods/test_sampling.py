"""One sampling step: guidance, and fresh noise only where it is asked for."""

from __future__ import annotations

import torch

from magedit.config import EditConfig
from magedit.pipeline import MAGEditPipeline
from tests.magedit.conftest import Room
from tests.magedit.methods.conftest import latent_of


def test_guidance_of_scale_one_is_the_conditional_pass_alone(pipe: MAGEditPipeline, room: Room) -> None:
    config = EditConfig(method="p2p", steps=4, inversion="negative-prompt", cross_replace=0.0, self_replace=0.0)
    one, same = (
        latent_of(
            pipe(
                room.image,
                [room.mask],
                room.source,
                room.source,
                (),
                EditConfig(**{**vars(config), "guidance_scale": scale}),
                output_type="latent",
            )
        )
        for scale in (1.0, 7.5)
    )
    assert torch.allclose(one, same, atol=1e-3)


def test_noise_enters_with_eta_alone(pipe: MAGEditPipeline, room: Room) -> None:
    latents = [
        latent_of(
            pipe(
                room.image,
                [room.mask],
                room.source,
                room.target,
                (),
                EditConfig(method="p2p", steps=3, blend_fraction=0.0, eta=eta, seed=seed),
                output_type="latent",
            )
        )
        for eta, seed in ((0.0, 1), (0.0, 2), (1.0, 1), (1.0, 2))
    ]
    assert torch.equal(latents[0], latents[1])
    assert not torch.allclose(latents[2], latents[3])
