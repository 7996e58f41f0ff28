"""Mask shapes and operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from magedit.errors import EmptyMask, InvalidBox, InvalidEdit, InvalidParameter, InvalidPolygon, InvalidRle, NotTogether
from magedit.masks.raster import draw, operate
from magedit.masks.rle import encode
from magedit.masks.shapes import MaskOperations, MaskShape, one_per_region, read_shapes, require_soft

SIZE = (40, 30)


def drawn(**shape: Any) -> np.ndarray:
    return np.asarray(draw(read_shapes(shape)[0], SIZE))


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIZE[::-1], dtype=np.uint8)
    mask[max(top, 0) : bottom, max(left, 0) : right] = 255
    return mask


def test_box_polygon_and_rle_of_one_area_give_one_mask() -> None:
    wanted = box(5, 10, 15, 20)
    assert np.array_equal(drawn(box=[5, 10, 10, 10]), wanted)
    assert np.array_equal(drawn(polygon=[[[5, 10], [15, 10], [15, 20], [5, 20]]]), wanted)
    for compressed in (True, False):
        rle = encode(wanted > 0, compressed=compressed).model_dump()
        assert np.array_equal(drawn(rle=rle), wanted)


def test_operations_apply_in_order() -> None:
    assert np.array_equal(drawn(box=[5, 10, 10, 10], grow=3), box(2, 7, 18, 23))
    assert np.array_equal(drawn(box=[5, 10, 10, 10], shrink=3), box(8, 13, 12, 17))
    assert np.array_equal(drawn(box=[5, 10, 10, 10], invert=True), 255 - box(5, 10, 15, 20))
    ring = [[[6, 5], [26, 5], [26, 25], [6, 25]], [[12, 11], [20, 11], [20, 19], [12, 19]]]
    assert np.array_equal(drawn(polygon=ring, fill_holes=True), box(6, 5, 26, 25))
    # grown and shrunk by as much, a hole of 8 pixels closes
    assert np.array_equal(drawn(polygon=ring, grow=4, shrink=4), box(6, 5, 26, 25))


def test_shrinking_ignores_the_pictures_border() -> None:
    assert np.array_equal(drawn(box=[0, 0, 10, 10], shrink=2), box(0, 0, 8, 8))


def test_feather_fades_over_its_pixels_on_both_sides() -> None:
    faded = drawn(box=[10, 0, 30, 30], feather=4)
    row = faded[15].astype(int)
    assert row[:6].max() == 0
    assert row[14:].min() == 255
    assert (np.diff(row[5:15]) > 0).sum() >= 7
    assert faded[0, 25] == 255  # the picture's own edge is none of the mask's


@pytest.mark.parametrize(
    ("shape", "kind", "field"),
    [
        ({"polygon": [[[0, 0], [9, 9], [9, 0], [0, 9]]]}, InvalidPolygon, "mask_shapes.polygon.0"),
        ({"polygon": []}, InvalidPolygon, "mask_shapes.polygon"),
        ({"polygon": [[[50, 50], [60, 50], [60, 60]]]}, EmptyMask, "mask_shapes"),
        ({"polygon": [[[1.1, 1.1], [1.4, 1.1], [1.4, 1.4]]]}, EmptyMask, "mask_shapes"),
        ({"box": [40, 0, 5, 5]}, InvalidBox, "mask_shapes.box"),
        ({"box": [-9, -9, 5, 5]}, InvalidBox, "mask_shapes.box"),
        ({"rle": {"counts": [0, 1200], "size": [40, 30]}}, InvalidRle, "mask_shapes.rle.size"),
        ({"rle": {"counts": [1200], "size": [30, 40]}}, EmptyMask, "mask_shapes"),
        ({"box": [0, 0, 4, 4], "shrink": 9}, EmptyMask, None),
        ({"box": [5, 5, 4, 4], "shrink": 9}, EmptyMask, "mask_shapes.shrink"),
        ({"box": [0, 0, 40, 30], "invert": True}, EmptyMask, "mask_shapes.invert"),
    ],
)
def test_a_shape_that_cannot_be_drawn_is_rejected_by_field(
    shape: dict[str, Any], kind: type[InvalidEdit], field: str
) -> None:
    with pytest.raises(kind) as error:
        draw(read_shapes(shape)[0], SIZE)
    assert field is None or error.value.field == field


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ({}, "this one has none of them"),
        ({"box": [0, 0, 1, 1], "polygon": [[[0, 0], [1, 0], [1, 1]]]}, "this one has polygon and box"),
        ({"box": [0, 0, 0, 1]}, "mask_shapes.0.box.2"),
        ({"box": [0, 0, 1]}, "mask_shapes.0.box"),
        ({"box": [0, 0, 1, float("nan")]}, "mask_shapes.0.box.3"),
        ({"boxes": [0, 0, 1, 1]}, "mask_shapes.0.boxes"),
        ({"box": [0, 0, 1, 1], "grow": -1}, "mask_shapes.0.grow"),
        ({"rle": {"counts": "0"}}, "mask_shapes.0.rle.size"),
    ],
)
def test_an_invalid_shape_is_rejected_by_field(shape: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidParameter, match=told):
        read_shapes([shape])


def test_uploads_and_shapes_must_pair_up() -> None:
    assert [shape.upload for shape in one_per_region(None, 2)] == [0, 1]
    shapes = read_shapes([{"upload": 0, "grow": 2}, {"box": [0, 0, 4, 4]}])
    assert one_per_region(shapes, 1) == shapes
    for uploads, given, field in (
        (0, None, "mask"),
        (2, shapes, "mask"),
        (0, shapes, "mask_shapes.0.upload"),
    ):
        with pytest.raises(InvalidParameter) as error:
            one_per_region(given, uploads)
        assert error.value.field == field


def test_feather_requires_strength_masks() -> None:
    (shape,) = read_shapes({"box": [0, 0, 4, 4], "feather": 2})
    require_soft(shape, "strength", "mask_shapes.0")
    with pytest.raises(NotTogether) as error:
        require_soft(shape, "none", "mask_shapes.0")
    assert error.value.field == "mask_shapes.0.feather"


def test_without_operations_the_mask_is_unchanged() -> None:
    mask = Image.fromarray(box(3, 4, 20, 22))
    assert operate(mask, MaskOperations()) is mask
    assert MaskShape(box=(0, 0, 1, 1), grow=2).grow == 2
