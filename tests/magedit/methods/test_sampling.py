"""One sampling step: guidance, and fresh noise only where it is asked for."""

from __future__ import annotations

import torch

from magedit.config import EditConfig
from magedit.methods.sampling import mixed
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room
from tests.magedit.methods.conftest import cells, latent_of


def test_scale_one_is_the_conditional_prediction(pipe: MAGEditPipeline, room: Room) -> None:
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


def test_noise_requires_eta(pipe: MAGEditPipeline, room: Room) -> None:
    latents = [
        latent_of(
            pipe(
                room.image,
                [room.mask],
                room.source,
                room.target,
                (),
                EditConfig(method="p2p", steps=3, blend_fraction=0.0, eta=eta, seed=seed, variation=0.0),
                output_type="latent",
            )
        )
        for eta, seed in ((0.0, 1), (0.0, 2), (1.0, 1), (1.0, 2))
    ]
    assert torch.equal(latents[0], latents[1])
    assert not torch.allclose(latents[2], latents[3])


def test_seeds_vary_the_result_only_inside_the_mask(pipe: MAGEditPipeline, room: Room) -> None:
    results = []
    for seed in (0, 1, 1, 2):
        config = EditConfig(method="p2p", steps=4, seed=seed)
        results.append(
            latent_of(pipe(room.image, [room.mask], room.source, room.target, (), config, output_type="latent"))
        )
    assert torch.equal(results[1], results[2])
    around = torch.nn.functional.max_pool2d(cells(room.mask, 32)[None], 3, stride=1, padding=1)[0] > 0
    for one, other in ((0, 1), (0, 3), (1, 3)):
        assert torch.equal(results[one][..., ~around], results[other][..., ~around])
        assert not torch.allclose(results[one][..., around], results[other][..., around], atol=0.1)


def test_mixed_noise_keeps_its_deviation() -> None:
    generator = torch.Generator().manual_seed(1)
    noise, fresh = (torch.randn(1, 4, 64, 64, generator=generator) for _ in range(2))
    assert torch.equal(mixed(noise, fresh, 0.0), noise)
    assert torch.equal(mixed(noise, fresh, 1.0), fresh)
    half = mixed(noise, fresh, 0.6)
    assert abs(float(half.std()) - 1) < 0.02
    assert abs(float((half * noise).mean()) - 0.8) < 0.02
