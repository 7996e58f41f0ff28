"""InstructEdit: an instruction is read, what it names is found, and DiffEdit edits there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ImageChops

from magedit.config import EditConfig
from magedit.errors import MaskMismatch, NotTogether
from magedit.images.masks import outside_difference
from magedit.masks.rle import decode
from magedit.methods.registry import METHODS
from magedit.pipelines.mag_edit import MAGEditOutput
from tests.magedit.methods.conftest import Trained, cells, clean_of, latent_of

CONFIG = EditConfig(method="instruct-edit", steps=8)
INSTRUCTION = "make the carpet blue"


def instructed(trained: Trained, config: EditConfig = CONFIG, **options: Any) -> MAGEditOutput:
    return trained.pipe(trained.image, config=config, instruction=INSTRUCTION, **options)


def test_its_stages_are_the_ones_of_the_paper(trained: Trained) -> None:
    """The language stage, then the segmenter, then DiffEdit: encoded whole, decoded from a middle level."""
    output = instructed(trained)
    assert list(output.measures.stage_seconds)[:2] == ["read", "find"]
    assert output.measures.unet_forward == 8 + 4
    (found,) = output.measures.found
    assert (found.label, found.region) == ("carpet", 0)
    selected, true = decode(found.rle, "rle"), np.asarray(trained.mask) > 0
    assert (selected & true).sum() / (selected | true).sum() > 0.3


def test_the_mask_lies_inside_the_boxes_that_were_found(trained: Trained) -> None:
    (found,) = instructed(trained).measures.found
    inside = np.zeros_like(decode(found.rle, "rle"))
    for thing in found.seen:
        x, y, width, height = map(round, thing.box)
        inside[y : y + height, x : x + width] |= thing.chosen
    assert found.seen
    assert not (decode(found.rle, "rle") & ~inside).any()


def test_nothing_outside_the_found_mask_changes(trained: Trained) -> None:
    output = instructed(trained)
    (result,) = output.images
    (found,) = output.measures.found
    mask = trained.pipe.segment(trained.image, words="carpet").masks[0].picture
    assert np.array_equal(decode(found.rle, "rle"), np.asarray(mask) > 0)
    assert outside_difference(trained.image, result, mask, output.measures.paste_margin_px) == 0
    assert ImageChops.difference(trained.image, result).getbbox() is not None


def test_inside_its_mask_it_is_diffedit(trained: Trained) -> None:
    """The same prompts and mask by both methods give the same latent, with the trajectory itself outside."""
    given = (trained.image, [trained.mask], trained.source, trained.target, ())
    one, other = (
        trained.pipe(*given, replace(CONFIG, method=method), output_type="latent")
        for method in ("instruct-edit", "diffedit")
    )
    assert torch.equal(latent_of(one), latent_of(other))
    outside = cells(trained.mask, latent_of(one).shape[-1]) == 0
    assert torch.equal(latent_of(one)[..., outside], clean_of(one)[..., outside])
    assert METHODS["instruct-edit"].plan(CONFIG) == METHODS["diffedit"].plan(replace(CONFIG, method="diffedit"))


def test_the_mask_comes_only_from_the_segmenter(trained: Trained) -> None:
    with pytest.raises(NotTogether) as caught:
        instructed(trained, replace(CONFIG, mask_source="own"))
    assert caught.value.field == "mask_source"
    with pytest.raises(MaskMismatch, match="no mask is given"):
        trained.pipe(trained.image, (), trained.source, trained.target, (), CONFIG)
