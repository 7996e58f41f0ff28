"""An image to invert in few steps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from magedit.backbones.base import frozen
from magedit.config import EditConfig
from magedit.inversion.base import InversionTask
from magedit.measures.meter import Meter
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room


@pytest.fixture
def task(pipe: MAGEditPipeline, room: Room) -> Iterator[InversionTask]:
    """The room in 8 steps; without gradients but where an inversion asks for them."""
    config = EditConfig(steps=8, null_text_iterations=3)
    with torch.no_grad(), frozen(pipe.unet):
        yield InversionTask(
            pipe._denoiser(config, Meter({})),
            pipe.encode_image(room.image),
            pipe.encode(room.source),
            pipe.encode(""),
            config,
        )
