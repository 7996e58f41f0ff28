"""Edits by instruction and masks by points and words, from Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import ImageChops

from magedit.config import EditConfig
from magedit.errors import InstructionNotUnderstood, InvalidEdit, NothingFound, PointOutside
from magedit.images.masks import outside_difference
from magedit.pipelines.inputs import Mask
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room

FEW: dict[str, Any] = {"steps": 2, "max_iterations": 1, "guided_fraction": 1.0}


def test_an_instruction_stands_for_the_prompts(pipe: MAGEditPipeline, room: Room) -> None:
    told = pipe(room.image, room.mask, room.source, config=EditConfig(**FEW), instruction="make the sofa green")
    given = pipe(room.image, room.mask, room.source, room.target, config=EditConfig(**FEW))
    assert np.array_equal(np.asarray(told.images[0]), np.asarray(given.images[0]))
    assert (told.measures.words, told.measures.found) == ((("green sofa",),), ())
    assert "read" in told.measures.stage_seconds
    assert "find" not in told.measures.stage_seconds


def test_points_find_the_mask_of_a_region(pipe: MAGEditPipeline, room: Room) -> None:
    shapes: list[Mask] = [room.mask, {"points": [[30, 30, 1]], "grow": 2}]
    output = pipe(room.image, shapes, room.source, room.target, config=EditConfig(**FEW))
    (found,) = output.measures.found
    assert (found.region, found.found_by, found.label) == (1, "attention", None)
    assert output.measures.words == (("green sofa",),) * 2
    own = pipe.segment(room.image, points=[[30, 30, 1]], grow=2).masks[0].picture
    both = ImageChops.lighter(own, room.mask)
    (result,) = output.images
    assert outside_difference(room.image, result, both, output.measures.paste_margin_px) == 0


def test_unclear_instructions_and_missing_things_are_rejected_by_field(pipe: MAGEditPipeline, room: Room) -> None:
    def blamed(error: type[InvalidEdit], field: str, masks: Any = (), **options: Any) -> None:
        with pytest.raises(error) as caught:
            pipe(room.image, masks, config=EditConfig(**FEW), **options)
        assert caught.value.field == field

    blamed(InstructionNotUnderstood, "instruction", instruction="make it green")
    prompts = {"source_prompt": room.source, "target_prompt": room.target}
    blamed(PointOutside, "masks.0.points.0", {"points": [[999, 1, 1]]}, **prompts)
    # the tiny checkpoint's weights are drawn: its attention tells no place from another
    blamed(NothingFound, "masks.0.words", [{"words": "sofa"}], **prompts)
    blamed(NothingFound, "instruction", instruction="make the sofa green")
    blamed(InvalidEdit, "instruction", instruction=7)
    with pytest.raises(InvalidEdit, match="find the mask with its `segment`"):
        pipe.invert(room.image, {"words": "sofa"}, room.source)
