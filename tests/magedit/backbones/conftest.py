"""Tiny checkpoints of rectified flow, and edits with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from magedit.backbones.base import Conditioning
from magedit.config import EditConfig, Region
from magedit.pipelines.mag_edit import MAGEditOutput, MAGEditPipeline
from tests.magedit.conftest import Room
from tests.magedit.tiny import write_flux, write_sd3

ROUNDING = 1e-4
"""Relative, of latents; two ways to the same numbers differ by rounding alone."""


@pytest.fixture(scope="session")
def sd3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sd3(tmp_path_factory.mktemp("sd3"))


@pytest.fixture(scope="session")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux(tmp_path_factory.mktemp("flux"))


@pytest.fixture
def small_room(room: Room) -> Room:
    """The room at the tiny models' size."""
    mask = Image.new("L", (128, 128))
    ImageDraw.Draw(mask).rectangle((40, 64, 79, 95), fill=255)
    return replace(room, image=room.image.resize((128, 128)), mask=mask)


def edit(pipe: MAGEditPipeline, room: Room, target: str | None = None, **given: Any) -> MAGEditOutput:
    options = {name: given.pop(name) for name in ("on_progress",) if name in given}
    config = EditConfig(**{"steps": 4, "max_iterations": 2, "crop_context": 10.0, **given}).closed()
    target = room.target if target is None else target
    regions = [Region(words=("sofa",))]
    return pipe(room.image, [room.mask], room.source, target, regions, config, output_type="latent", **options)


def latent_of(output: MAGEditOutput) -> Tensor:
    assert isinstance(output.images, Tensor)
    return output.images


def clean_of(output: MAGEditOutput) -> Tensor:
    return output.inversion.inverted.latents[-1]


def inputs(pipe: MAGEditPipeline, rows: int = 1) -> tuple[Tensor, Conditioning]:
    side = pipe.latent_side
    latent = torch.randn(rows, 4, side, side, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return latent, pipe.encode("a room with a red sofa").expand(rows)
