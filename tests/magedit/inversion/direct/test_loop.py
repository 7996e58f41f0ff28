"""Direct inversion: its defining property is an exact source branch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from magedit.config import EditConfig, InversionName
from magedit.images.masks import working_crop
from magedit.inversion.base import InversionTask
from magedit.inversion.direct.loop import direct
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room
from tests.magedit.methods.conftest import Trained, latent_of, trained

__all__ = ["trained"]


def test_the_source_branch_is_the_trajectory(task: InversionTask) -> None:
    inverted = direct(task)
    assert inverted.exact
    assert torch.equal(inverted.latents[-1], task.latent)
    assert task.denoiser.meter.forward == task.config.steps


def test_outside_the_mask_the_edit_ends_at_the_images_own_latent(pipe: MAGEditPipeline, room: Room) -> None:
    output = pipe(
        room.image, [room.mask], room.source, room.target, (), EditConfig(steps=4, method="p2p"), output_type="latent"
    )
    assert isinstance(output.images, torch.Tensor)
    assert output.measures.crop == working_crop(room.mask, pipe.size, 0.5)
    outside = (output.images - output.inversion.inverted.latents[-1]).abs().amax(1)[0]
    assert outside[:16].max() == 0
    assert outside[18:24, 8:18].max() > 0


@torch.no_grad()
@pytest.mark.parametrize(("inversion", "exact"), [("direct", True), ("virtual", True), ("ddim", False)])
def test_the_source_is_reconstructed_to_the_vaes_own_picture(
    trained: Trained, inversion: InversionName, exact: bool
) -> None:
    """Beside a guided edit the source branch decodes to what the VAE alone makes of the picture; DDIM's drifts off."""
    pipe = trained.pipe
    output = trained.edit(EditConfig(method="p2p", steps=10, inversion=inversion))
    pixels = torch.tensor(np.asarray(trained.image)).permute(2, 0, 1)[None] / 127.5 - 1
    own = pipe.vae.decode(pipe.vae.encode(pixels).latent_dist.mean).sample
    source = pipe.vae.decode(output.edited[0].source / pipe.vae.config.scaling_factor).sample
    # In grey levels; the edit ends elsewhere.
    assert (float((source - own).abs().max()) * 127.5 < 0.5) is exact
    edited = pipe.vae.decode(latent_of(output) / pipe.vae.config.scaling_factor).sample
    assert float((edited - own).abs().max()) * 127.5 > 20
