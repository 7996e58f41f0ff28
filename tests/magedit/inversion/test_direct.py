"""Direct inversion: its defining property is an exact source branch."""

from __future__ import annotations

import torch

from magedit.config import EditConfig
from magedit.inversion.base import InversionTask
from magedit.inversion.direct import direct
from magedit.masks import working_crop
from magedit.pipeline import MAGEditPipeline
from tests.magedit.conftest import Room


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
