"""Mask shapes and operations."""

from __future__ import annotations

from typing import Any

import pytest

from magedit.errors import InvalidParameter, NotTogether
from magedit.masks.shapes import one_per_region, read_shapes, require_soft


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
