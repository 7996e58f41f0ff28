"""DiffEdit: the trajectory outside its mask; its own mask covers what the prompts differ in."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image

from magedit.config import EditConfig
from magedit.errors import EmptyMask
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.pipelines.results import changeable
from tests.magedit.conftest import Room
from tests.magedit.methods.conftest import Trained, cells, clean_of, latent_of

CONFIG = EditConfig(method="diffedit", steps=8)


def test_outside_the_mask_it_ends_at_the_picture_itself(pipe: MAGEditPipeline, room: Room) -> None:
    output = pipe(room.image, [room.mask], room.source, room.target, (), CONFIG, output_type="latent")
    outside = cells(room.mask, 32) == 0
    assert torch.equal(latent_of(output)[..., outside], clean_of(output)[..., outside])
    assert not torch.allclose(latent_of(output)[..., ~outside], clean_of(output)[..., ~outside])
    # Encoding whole, decoding half.
    assert output.measures.unet_forward == 8 + 4


def test_more_of_the_steps_left_out_stays_nearer_to_the_picture(pipe: MAGEditPipeline, room: Room) -> None:
    distances = []
    for skipped in (0.0, 0.5, 0.9):
        config = replace(CONFIG, skip_fraction=skipped)
        output = pipe(room.image, [room.mask], room.source, room.target, (), config, output_type="latent")
        distances.append(float((latent_of(output) - clean_of(output)).norm()))
    assert distances == sorted(distances, reverse=True)
    assert distances[2] < distances[0] / 2


def test_its_own_mask_covers_the_object_that_the_prompts_differ_in(trained: Trained) -> None:
    """Inside a mask of the whole picture it edits the carpet, and little else."""
    everywhere = Image.new("L", trained.image.size, 255)
    config = replace(CONFIG, mask_source="own", steps=4, seed=1)
    output = trained.edit(config, mask=everywhere)
    changed = (latent_of(output) != clean_of(output)).any(1)[0]
    carpet = cells(trained.mask, 16) > 0
    assert (changed & carpet).sum() > 0.6 * carpet.sum()
    assert (changed & ~carpet).sum() < 0.15 * (~carpet).sum()


def test_its_own_mask_lies_inside_the_given_one(trained: Trained) -> None:
    config = replace(CONFIG, mask_source="own", steps=4)
    changed = (latent_of(out := trained.edit(config)) != clean_of(out)).any(1)[0]
    assert not (changed & (cells(trained.mask, 16) == 0)).any()
    corner = Image.new("L", trained.image.size)
    corner.paste(255, (0, 0, 9, 9))
    with pytest.raises(EmptyMask) as caught:
        trained.edit(config, mask=corner)
    assert caught.value.field == "mask_source"


def test_equal_prompts_differ_nowhere(trained: Trained) -> None:
    with pytest.raises(EmptyMask):
        trained.edit(replace(CONFIG, mask_source="own", steps=4), target=trained.source)


def test_the_changeable_area_is_the_computed_mask_inside_the_given_one() -> None:
    given = Image.new("L", (64, 64))
    given.paste(255, (0, 0, 40, 64))
    found = torch.zeros(4, 4)
    found[:2, 2:] = 1
    cut = changeable(given, found, (0, 0, 64, 64))
    assert cut.getbbox() == (32, 0, 40, 32)
    assert changeable(given, None, (0, 0, 64, 64)) is given
