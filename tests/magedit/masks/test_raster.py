"""Drawing of mask shapes, operations on masks and their description."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from magedit.errors import EmptyMask, InvalidBox, InvalidEdit, InvalidPolygon, InvalidRle
from magedit.masks.raster import RINGS, describe, draw, operate
from magedit.masks.rle import decode, encode
from magedit.masks.shapes import MaskOperations, read_shapes

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
    assert faded[0, 25] == 255  # the mask is not faded at the picture's border


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
    shape: dict[str, Any], kind: type[InvalidEdit], field: str | None
) -> None:
    with pytest.raises(kind) as error:
        draw(read_shapes(shape)[0], SIZE)
    assert field is None or error.value.field == field


def test_without_operations_the_mask_is_unchanged() -> None:
    mask = Image.fromarray(box(3, 4, 20, 22))
    assert operate(mask, MaskOperations()) is mask


def test_a_description_gives_area_box_and_exact_runs() -> None:
    mask = box(5, 10, 15, 20)
    mask[12:14, 7:9] = 0
    found = describe(Image.fromarray(mask), 0.87654321, "sofa")
    assert (found.area, found.box, found.score, found.label) == (96, (5, 10, 10, 10), 0.8765, "sofa")
    assert np.array_equal(decode(found.rle, "rle"), mask > 0)
    assert len(found.polygon) == 2


def test_a_description_lists_a_limited_number_of_polygons() -> None:
    dots = np.zeros((64, 64), dtype=np.uint8)
    dots[::4, ::4] = 255
    found = describe(Image.fromarray(dots), 1.0)
    assert len(found.polygon) == RINGS < found.area == 256
