"""Proximal guidance: what is small in guidance is dropped; the source stays its own reconstruction."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from magedit.config import EditConfig
from magedit.inversion.proximal.loop import prox
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room, relative

CONFIG = EditConfig(method="p2p", steps=6, inversion="proximal", blend_fraction=0.0)
DIFFERENCE = torch.tensor([[-4.0, 1.0, -2.0, 3.0, 0.0]])[None, None]


def test_l0_keeps_the_largest_part_whole_and_l1_takes_the_threshold_off() -> None:
    # The median of 0, 1, 2, 3, 4 is 2.
    assert prox(DIFFERENCE, "l0", 0.5)[0].flatten().tolist() == [-4, 0, 0, 3, 0]
    assert prox(DIFFERENCE, "l1", 0.5)[0].flatten().tolist() == [-2, 0, 0, 1, 0]


def test_the_settled_mask_is_zero_near_remaining_guidance() -> None:
    assert prox(DIFFERENCE, "l0", 0.75)[1].flatten().tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("norm", ["l0", "l1"])
def test_the_largest_quantile_leaves_nothing_and_the_smallest_nearly_all(norm: str) -> None:
    difference = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not prox(difference, norm, 1.0)[0].any()  # type: ignore[arg-type]
    left, _ = prox(difference, norm, 0.0)  # type: ignore[arg-type]
    assert (left == 0).sum() == 1


def edit(pipe: MAGEditPipeline, room: Room, target: str, config: EditConfig) -> torch.Tensor:
    latent = pipe(room.image, [room.mask], room.source, target, (), config, output_type="latent").images
    assert isinstance(latent, torch.Tensor)
    return latent


def test_without_a_threshold_it_is_negative_prompt_inversion(pipe: MAGEditPipeline, room: Room) -> None:
    free = edit(pipe, room, room.target, replace(CONFIG, proximal_quantile=0.0))
    plain = edit(pipe, room, room.target, replace(CONFIG, inversion="negative-prompt"))
    assert relative(free, plain) < 1e-3


def test_with_everything_dropped_the_edit_is_the_source(pipe: MAGEditPipeline, room: Room) -> None:
    config = replace(CONFIG, proximal_quantile=1.0, cross_replace=0.0, self_replace=0.0)
    source = edit(pipe, room, room.source, replace(config, inversion="negative-prompt"))
    assert relative(edit(pipe, room, room.target, config), source) < 1e-3


def test_reconstruction_guidance_pulls_towards_the_picture(pipe: MAGEditPipeline, room: Room) -> None:
    distances = []
    for rate in (0.0, 0.5, 1.0):
        output = pipe(
            room.image,
            [room.mask],
            room.source,
            room.target,
            (),
            replace(CONFIG, proximal_quantile=0.95, proximal_reconstruction=rate),
            output_type="latent",
        )
        assert isinstance(output.images, torch.Tensor)
        distances.append(float((output.images - output.inversion.inverted.latents[-1]).norm()))
    assert distances[0] > distances[1] > distances[2]
