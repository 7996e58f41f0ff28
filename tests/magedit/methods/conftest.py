"""A shipped room whose edit needs a trained model, and edits down to the latent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from magedit.config import EditConfig, Region
from magedit.demo import checkpoint_path, demo_edit
from magedit.pipelines.mag_edit import MAGEditOutput, MAGEditPipeline


@dataclass(frozen=True)
class Trained:
    """The demo checkpoint with one of its edits."""

    pipe: MAGEditPipeline
    image: Image.Image
    mask: Image.Image
    source: str
    target: str

    def edit(self, config: EditConfig, *, mask: Image.Image | None = None, target: str | None = None) -> MAGEditOutput:
        return self.pipe(
            self.image,
            [mask or self.mask],
            self.source,
            target or self.target,
            [Region()],
            config,
            output_type="latent",
        )


@pytest.fixture(scope="session")
def trained() -> Trained:
    """The demo's carpet, which the prompts alone localize."""
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(checkpoint_path())
    edit = demo_edit("carpet")
    return Trained(pipe, edit.image(pipe.size), edit.mask(pipe.size), edit.source_prompt, edit.target_prompt)


def latent_of(output: MAGEditOutput) -> Tensor:
    """The edited latent of an output of type ``latent``."""
    assert isinstance(output.images, Tensor)
    return output.images


def clean_of(output: MAGEditOutput) -> Tensor:
    """The picture's own latent z_0."""
    return output.inversion.inverted.latents[-1]


def cells(mask: Image.Image, side: int) -> Tensor:
    """The mask at latent resolution, (side, side), as the edit sees it: every touched cell."""
    pixels = torch.tensor(np.asarray(mask) > 0, dtype=torch.float32)
    return torch.nn.functional.adaptive_max_pool2d(pixels[None, None], side)[0, 0]
