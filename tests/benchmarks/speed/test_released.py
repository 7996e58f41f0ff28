"""The savings of the preset `exact` change nothing: the released program's schedule arrives at the same latent."""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.speed.released import released_edit, released_inversion
from magedit.config import EditConfig, Region
from magedit.measures.meter import Meter
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room

CONFIG = EditConfig.preset("exact", steps=4, max_iterations=2, null_text_iterations=1, guidance_step_size=20.0)
LARGEST_DIFFERENCE = 1e-3
"""Of latents with values up to 3, by rounding alone in four coarse steps; measured: 1e-4."""


def test_the_exact_preset_is_the_released_schedule_without_its_repetitions(pipe: MAGEditPipeline, room: Room) -> None:
    before = dict(pipe.unet.attn_processors)
    meter = Meter({})
    inversion = released_inversion(pipe, room.image, room.mask, room.source, CONFIG, meter)
    assert (meter.forward, meter.backward) == (4 + 4 * 4, 4)
    meter = Meter({})
    latent = released_edit(pipe, room.image, [room.mask], room.target, [Region()], CONFIG, inversion, meter)
    assert (meter.forward, meter.truncated, meter.backward) == (2 * 2 * 2 + 4 * 2, 0, 2 * 2)
    assert pipe.unet.attn_processors == before

    exact, unguided = (
        pipe(
            room.image, [room.mask], room.source, room.target, (), config, inversion=inversion, output_type="latent"
        ).images
        for config in (CONFIG, replace(CONFIG, method="p2p"))
    )
    assert isinstance(exact, torch.Tensor)
    assert isinstance(unguided, torch.Tensor)
    assert float((exact - latent).abs().max()) < LARGEST_DIFFERENCE
    assert float((unguided - latent).abs().max()) > 20 * LARGEST_DIFFERENCE
    own = pipe.invert(room.image, [room.mask], room.source, config=CONFIG).inverted
    for mine, released in zip(own.latents, inversion.inverted.latents, strict=True):
        assert float((mine - released).abs().max()) < LARGEST_DIFFERENCE
