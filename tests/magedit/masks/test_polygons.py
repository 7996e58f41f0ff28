"""Conversion of polygons to masks and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from magedit.errors import InvalidPolygon
from magedit.masks.polygons import Ring, box_of, check_ring, fill, fill_holes, interior, outline


def square(left: float, top: float, right: float, bottom: float) -> Ring:
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def test_a_pixel_is_selected_if_its_centre_is_inside() -> None:
    mask = fill([square(1.4, 2.6, 3.6, 5.4)], (8, 8))
    assert np.argwhere(mask).tolist() == [[row, column] for row in (3, 4) for column in (1, 2, 3)]


def test_inner_rings_are_holes_and_parts_outside_are_clipped() -> None:
    mask = fill([square(-5, -5, 6, 6), square(1, 1, 3, 3)], (8, 8))
    assert mask.sum() == 36 - 4
    assert not mask[1:3, 1:3].any()
    assert mask[0, 0]


def test_a_triangle_covers_half_of_its_box() -> None:
    assert fill([((0, 0), (100, 0), (0, 100))], (100, 100)).sum() == 100 * 99 // 2


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.9))
def test_outline_and_fill_round_trip(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((13, 17)) < share
    rings = [ring for polygon in outline(mask) for ring in polygon]
    assert np.array_equal(fill(rings, (17, 13)), mask)


def test_tolerance_drops_corners_and_the_largest_part_comes_first() -> None:
    rows, columns = np.mgrid[:64, :64]
    disc = (rows - 32) ** 2 + (columns - 32) ** 2 < 20**2
    disc[0:2, 0:2] = True
    fine, coarse = outline(disc), outline(disc, 1.0)
    assert len(coarse[0][0]) < len(fine[0][0]) / 2
    assert np.mean(fill(coarse[0], (64, 64)) != disc) < 0.02
    assert [[len(ring) for ring in polygon] for polygon in fine[1:]] == [[4]]


def test_bounding_box_and_most_interior_pixel() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[4:13, 6:25] = True
    assert box_of(mask) == (6, 4, 19, 9)
    mask[4:13, 8:12] = False  # a hole, so that the right side is wider
    x, y = interior(outline(mask)[0])
    assert mask[y, x]
    assert 16 <= x <= 20
    assert y == 8


def test_fill_holes_fills_only_holes() -> None:
    mask = fill([square(2, 2, 12, 12), square(4, 4, 10, 10), square(6, 6, 8, 8)], (16, 16))
    mask[14, 14] = True
    filled = fill_holes(mask)
    assert np.array_equal(filled, fill([square(2, 2, 12, 12), square(14, 14, 15, 15)], (16, 16)))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 0.8))
def test_fill_holes_agrees_with_a_flood_fill_on_noise(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((11, 14)) < share
    flooded = Image.fromarray(np.pad(mask, 1).astype(np.uint8)).copy()
    ImageDraw.floodfill(flooded, (0, 0), 2)
    assert np.array_equal(fill_holes(mask), np.asarray(flooded)[1:-1, 1:-1] != 2)


@pytest.mark.parametrize(
    ("ring", "told"),
    [
        (((0, 0), (4, 4)), "2 distinct points"),
        (((0, 0), (4, 4), (0, 0)), "2 distinct points"),
        (((0, 0), (2, 2), (4, 4)), "no area"),
        (((0, 0), (10, 10), (10, 0), (0, 10)), "cross or touch at (5, 5)"),
    ],
)
def test_a_ring_without_area_is_rejected_with_the_reason(ring: Ring, told: str) -> None:
    with pytest.raises(InvalidPolygon) as error:
        check_ring(ring, "mask_shapes.1.polygon.0")
    assert told in error.value.message
    assert error.value.field == "mask_shapes.1.polygon.0"


def test_a_ring_may_be_closed_explicitly() -> None:
    ring = square(1, 1, 5, 5)
    check_ring((*ring, ring[0]), "ring")
    assert np.array_equal(fill([(*ring, ring[0])], (8, 8)), fill([ring], (8, 8)))
