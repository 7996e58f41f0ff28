"""Masks located at the start of an edit, with a random segmenter and the demo's attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from magedit.errors import EmptyMask, InvalidEdit, InvalidParameter, NoFinder, PointOutside
from magedit.instructions.reading import read_by_rules
from magedit.masks.finding import locate
from magedit.masks.raster import operate
from magedit.masks.rle import decode
from magedit.masks.shapes import MaskShape, read_shapes
from magedit.measures.report import EditMeasures
from magedit.segmenters.finder import Finders
from magedit.segmenters.sam import SamSegmenter
from recipes.presets.segmenter import SEGMENTER_TOY
from recipes.segmenter import build_segmenter, export_segmenter

CLICK = [[30, 20, 1]]


@pytest.fixture(scope="module")
def finders(tmp_path_factory: pytest.TempPathFactory) -> Finders:
    torch.manual_seed(0)
    folder: Path = tmp_path_factory.mktemp("segmenter") / "sam"
    export_segmenter(build_segmenter(SEGMENTER_TOY.segmenter, SEGMENTER_TOY.size), folder)
    return Finders(segmenter=SamSegmenter.load(folder))


def picture() -> Image.Image:
    return Image.radial_gradient("L").resize((60, 40)).convert("RGB")


def shape(**values: Any) -> MaskShape:
    (made,) = read_shapes(values)
    return made


def test_points_are_found_and_described_for_the_record(finders: Finders) -> None:
    located = locate(finders, picture(), {1: shape(points=CLICK)})
    (found,) = located.found
    assert (found.region, found.found_by) == (1, "segmenter")
    assert np.array_equal(decode(found.rle, "rle"), np.asarray(located.masks[1]) > 0)
    noted = located.noted(EditMeasures(stage_seconds={"edit": 1.0}), read_by_rules("make the sofa blue", None))
    assert list(noted.stage_seconds) == ["read", "find", "edit"]
    assert noted.found == located.found


@pytest.mark.parametrize("operations", [{"grow": 3}, {"invert": True}, {"fill_holes": True}, {"grow": 2, "feather": 4}])
def test_operations_apply_to_found_masks(finders: Finders, operations: dict[str, Any]) -> None:
    plain = locate(finders, picture(), {0: shape(points=CLICK)}).masks[0]
    wanted = shape(points=CLICK, **operations)
    assert locate(finders, picture(), {0: wanted}).masks[0].tobytes() == operate(plain, wanted).tobytes()


def blamed(
    error: type[InvalidEdit], wanted_field: str, finders: Finders | None, wanted: MaskShape, **options: Any
) -> None:
    with pytest.raises(error) as caught:
        locate(finders, picture(), {2: wanted}, **options)
    assert caught.value.field == wanted_field


def test_errors_name_the_shape_that_was_not_found(finders: Finders) -> None:
    blamed(PointOutside, "mask_shapes.2.points.0", finders, shape(points=[[90, 1, 1]]))
    blamed(NoFinder, "mask_shapes.2.words", finders, shape(words="sofa"))
    blamed(NoFinder, "masks.2.words", None, shape(words="sofa"), field="masks")
    blamed(NoFinder, "instruction", None, shape(words="sofa"), instructed=True)
    blamed(EmptyMask, "mask_shapes.2.shrink", finders, shape(points=CLICK, shrink=500))


def test_points_and_words_are_checked_without_a_finder() -> None:
    shape(points=CLICK).check_to_find((60, 40), "mask_shapes.0")
    shape(box=[1, 1, 5, 5]).check_to_find((1, 1), "mask_shapes.0")
    for wanted, field in (
        (shape(points=[]), "mask_shapes.0.points"),
        (shape(points=[[1, 1, 0]]), "mask_shapes.0.points"),
        (shape(words=" "), "mask_shapes.0.words"),
    ):
        with pytest.raises(InvalidParameter) as caught:
            wanted.check_to_find((60, 40), "mask_shapes.0")
        assert caught.value.field == field
    with pytest.raises(InvalidParameter, match="this one has points and words"):
        shape(points=CLICK, words="sofa")


def test_a_replacement_gets_the_widened_box(finders: Finders) -> None:
    plain = locate(finders, picture(), {0: shape(points=CLICK)}, instructed=True).masks[0].getbbox()
    (mask,) = locate(finders, picture(), {0: shape(points=CLICK)}, instructed=True, takes_room=True).masks.values()
    assert plain is not None
    room = round(max(plain[2] - plain[0], plain[3] - plain[1]) / 8)
    wide = (max(plain[0] - room, 0), max(plain[1] - room, 0), min(plain[2] + room, 60), min(plain[3] + room, 40))
    assert mask.getbbox() == wide
    assert mask.crop(wide).getextrema() == (255, 255)
