"""FLUX against diffusers' pipeline, on a tiny real model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline

from magedit.errors import CheckpointError
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room, edit
from tests.magedit.tiny import T5_TOKENS, write_flux


def test_encodes_as_diffusers_does(flux: Path) -> None:
    backbone: Any = MAGEditPipeline.from_pretrained(flux).backbone
    own = FluxPipeline.from_pretrained(flux)
    with torch.no_grad():
        told = backbone.encode("a room with a red sofa")
        states, pooled, _ = own.encode_prompt("a room with a red sofa", None, max_sequence_length=T5_TOKENS)
    torch.testing.assert_close(told.hidden_states, states)
    torch.testing.assert_close(told.pooled, pooled)


def test_samples_as_diffusers_does(flux: Path) -> None:
    """Packed latents, rotary positions, a schedule shifted by the picture's size, and the guidance that it is told."""
    backbone: Any = MAGEditPipeline.from_pretrained(flux).backbone
    own = FluxPipeline.from_pretrained(flux)
    own.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    prompt = "a room with a red sofa"
    wanted = own(
        prompt, latents=own._pack_latents(noise, 1, 4, 16, 16), num_inference_steps=3, guidance_scale=4.0,
        output_type="latent", max_sequence_length=T5_TOKENS, height=128, width=128,
    ).images  # fmt: skip
    process, latent = backbone.process(3), noise
    with torch.no_grad():
        told = backbone.encode(prompt).guided(4.0)
        for t in process.timesteps:
            latent = process.step(backbone.predict(latent, t, told), t, latent)
    torch.testing.assert_close(own._pack_latents(latent, 1, 4, 16, 16), wanted, rtol=1e-4, atol=1e-4)


def test_guidance_is_applied_to_the_edit_but_not_the_inversion(flux: Path, small_room: Room) -> None:
    pipe = MAGEditPipeline.from_pretrained(flux)
    pipe.set_progress_bar_config(disable=True)
    told: list[float] = []

    def note(_module: Any, _inputs: Any, named: dict[str, Any]) -> None:
        told.append(float(named["guidance"][0]))

    pipe.network.register_forward_pre_hook(note, with_kwargs=True)
    edit(pipe, small_room, method="p2p", guidance_scale=6.0)
    assert told == [1.0] * 4 + [6.0] * 4


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"guidance_embeds": False}, "distilled to a few steps without guidance"),
        ({"in_channels": 96}, "takes additional pictures as input"),
    ],
)
def test_of_another_purpose_is_refused(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        MAGEditPipeline.from_pretrained(write_flux(tmp_path / "checkpoint", **config))
