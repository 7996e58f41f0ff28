"""Conversion between polygons and masks; coordinates in pixels, (0, 0) at the top left corner of the first pixel."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPoint, Polygon
from shapely.validation import explain_validity

from magedit.errors import InvalidPolygon

Point = tuple[float, float]
Ring = tuple[Point, ...]


def check_ring(ring: Ring, field: str) -> None:
    """Check a polygon's ring, which need not be closed.

    Raises:
        InvalidPolygon: fewer than three distinct points, no area, or crossing edges; names the crossing.
    """
    if len(set(ring)) < 3:
        raise InvalidPolygon(f"it has {len(set(ring))} distinct points; a polygon needs at least 3", field=field)
    polygon = Polygon(ring)
    if polygon.is_valid:
        return
    reason = explain_validity(polygon)
    if MultiPoint(ring).convex_hull.area == 0:
        raise InvalidPolygon("it has no area: all its points lie on one line", field=field)
    where = reason.partition("[")[2].rstrip("]").replace(" ", ", ")
    raise InvalidPolygon(
        f"its edges cross or touch at ({where}): trace the outline once, or give several rings", field=field
    )


def fill(rings: Sequence[Ring], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centres lie inside an odd number of rings, so that a ring in another one is a hole.

    Args:
        rings: each closed implicitly; parts outside the picture are clipped.
        size: width and height.
    """
    width, height = size
    crossings = np.zeros((height, width + 1), dtype=bool)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, (*ring[1:], ring[0]), strict=True):
            if y0 > y1:
                x0, y0, x1, y1 = x1, y1, x0, y0
            first, end = max(ceil(y0 - 0.5), 0), min(ceil(y1 - 0.5), height)
            if end <= first:
                continue
            rows = np.arange(first, end)
            along = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            columns = np.clip(np.ceil(along - 0.5), 0, width).astype(int)
            crossings[rows, columns] ^= True
    return np.logical_xor.accumulate(crossings, axis=1)[:, :width]


def outline(mask: NDArray[np.bool_], tolerance: float = 0.0) -> tuple[tuple[Ring, ...], ...]:
    """The polygons of a mask (height, width), the largest first: each its outer ring, then its holes.

    They follow the pixels' edges; with a ``tolerance`` in pixels, smaller corners are simplified away.
    """
    polygons = sorted(_polygons(_area(mask).simplify(tolerance)), key=lambda each: -each.area)
    return tuple(
        tuple(tuple((float(x), float(y)) for x, y in ring.coords[:-1]) for ring in (each.exterior, *each.interiors))
        for each in polygons
    )


def box_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The bounding box (x, y, width, height) of a non-empty mask (height, width)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y


def interior(rings: Sequence[Ring]) -> tuple[int, int]:
    """The pixel (x, y) farthest from the edge of a polygon, given as its outer ring and its holes."""
    outer, *holes = rings
    (x, y), *_ = shapely.maximum_inscribed_circle(Polygon(outer, holes), tolerance=0.25).coords
    return int(x), int(y)


def fill_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask (height, width) with its holes filled: regions with no 4-connected path to the border."""
    height, width = mask.shape
    outside = np.pad(~mask, 1, constant_values=True)
    rows, begins, ends = _runs(outside)
    # Overlapping runs of adjacent rows are joined; keys place all runs on one axis with gaps between rows.
    below = (rows + 1) * (width + 3)
    first = np.searchsorted(rows * (width + 3) + ends, below + begins, side="right")
    after = np.searchsorted(rows * (width + 3) + begins, below + ends, side="left")
    joined = np.maximum(after - first, 0)
    one = np.repeat(np.arange(len(rows)), joined)
    other = np.arange(joined.sum()) - np.repeat(np.cumsum(joined) - joined, joined) + np.repeat(first, joined)
    label = _components(len(rows), one, other)
    changes = np.zeros((height + 2, width + 3), dtype=np.int8)
    reached = label == label[0]
    changes[rows[reached], begins[reached]] += 1
    changes[rows[reached], ends[reached]] -= 1
    filled: NDArray[np.bool_] = np.cumsum(changes, axis=1, dtype=np.int8)[1:-1, 1 : width + 1] == 0
    return filled


def _components(number: int, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Connected component of each of ``number`` nodes, as its lowest node, for edges from ``one`` to ``other``."""
    label = np.arange(number)
    while True:
        least = np.minimum(label[one], label[other])
        before = label.copy()
        for ends in (one, other, before[one], before[other]):
            np.minimum.at(label, ends, least)
        while not np.array_equal(shorter := label[label], label):
            label = shorter
        if np.array_equal(label, before):
            return label


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, start and end of every run in a mask's rows, from the top left."""
    bounded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    edges = np.diff(bounded, axis=1)
    rows, begins = np.nonzero(edges == 1)
    return rows, begins, np.nonzero(edges == -1)[1]


def _area(mask: NDArray[np.bool_]) -> shapely.Geometry:
    """The area of a mask: the union of its rows' runs."""
    rows, begins, ends = _runs(mask)
    return shapely.union_all(shapely.box(begins, rows, ends, rows + 1))


def _polygons(area: shapely.Geometry) -> list[Polygon]:
    return [each for each in shapely.get_parts(area) if isinstance(each, Polygon) and not each.is_empty]
