"""Inversions as bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from magedit.config import EditConfig, InversionName
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.pipelines.output import Inversion
from magedit.pipelines.serialization import dump, parse
from tests.magedit.conftest import Room

QUICK = EditConfig(steps=4, max_iterations=1, null_text_iterations=1)


def back(inversion: Inversion, data: bytes, **changes: Any) -> Inversion:
    known: dict[str, Any] = {
        "box": inversion.box,
        "image_size": inversion.image_size,
        "source_prompt": inversion.source_prompt,
        "config": inversion.config,
    }
    return parse(data, **(known | changes))


@pytest.mark.parametrize("method", ["direct", "null-text", "style"])
def test_an_edit_from_a_stored_inversion_is_identical(pipe: MAGEditPipeline, room: Room, method: InversionName) -> None:
    config = replace(QUICK, inversion=method)
    kept: list[Inversion] = []
    fresh = pipe(room.image, [room.mask], room.source, room.target, (), config, on_inverted=kept.append)
    (inversion,) = kept
    stored = back(inversion, dump(inversion.inverted))
    again = pipe(room.image, [room.mask], room.source, room.target, (), config, inversion=stored)
    assert np.array_equal(np.asarray(again.images[0]), np.asarray(fresh.images[0]))
    assert (fresh.measures.inversion_reused, again.measures.inversion_reused) == (False, True)
    assert again.measures.unet_forward < fresh.measures.unet_forward
    assert len(stored.inverted.sampled) == (5 if method == "null-text" else 0)


@pytest.fixture(scope="module")
def inversion(pipe: MAGEditPipeline) -> Inversion:
    from PIL import Image

    image, mask = Image.new("RGB", (64, 64), "tan"), Image.new("L", (64, 64), 255)
    return pipe.invert(image, [mask], "a room", config=replace(QUICK, steps=2))


def test_it_is_plain_safetensors_in_float32(inversion: Inversion) -> None:
    tensors = load(dump(inversion.inverted))
    assert tensors["latents"].shape == (3, 4, 32, 32)
    assert tensors["latents"].dtype == torch.float32
    # One embedding for all steps is kept once.
    assert tensors["unconditional"].shape[0] == 1


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_truncated_bytes_are_rejected(inversion: Inversion, kept: int) -> None:
    with pytest.raises(ValueError, match="stored inversion"):
        back(inversion, dump(inversion.inverted)[:kept])


def test_a_flipped_bit_is_seen(inversion: Inversion) -> None:
    data = bytearray(dump(inversion.inverted))
    data[-5000] ^= 1
    with pytest.raises(ValueError, match="checksum"):
        back(inversion, bytes(data))


def test_another_number_of_steps_is_refused(inversion: Inversion) -> None:
    with pytest.raises(ValueError, match="2 steps, not 4"):
        back(inversion, dump(inversion.inverted), config=QUICK)
