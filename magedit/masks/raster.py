"""Raster masks: drawing from shapes, operations, description as candidates. Uses numpy and shapely."""

from __future__ import annotations

from math import ceil
from typing import Final

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from magedit.errors import EmptyMask, InvalidPolygon, InvalidRle
from magedit.images.masks import dilate
from magedit.masks.candidates import Candidate
from magedit.masks.polygons import Ring, check_ring, fill, fill_holes, outline
from magedit.masks.rle import decode, encode
from magedit.masks.shapes import MaskOperations, MaskShape, require_inside

TOLERANCE: Final = 0.75
"""Largest distance of a polygon's corners from the mask's edge, in pixels."""
RINGS: Final = 32
"""Most polygons listed for one candidate; its run lengths are complete."""


def draw(shape: MaskShape, size: tuple[int, int], field: str = "mask_shapes") -> Image.Image:
    """The mask (L) of a polygon, box or run lengths, with its operations, for a picture of ``size`` (width, height).

    Raises:
        InvalidPolygon, InvalidBox, InvalidRle: it cannot be drawn; names the part of ``field``.
        EmptyMask: it selects nothing.
    """
    if shape.polygon is not None:
        if not shape.polygon:
            raise InvalidPolygon("it has no rings", field=f"{field}.polygon")
        for number, ring in enumerate(shape.polygon):
            check_ring(ring, f"{field}.polygon.{number}")
        selected = fill(shape.polygon, size)
    elif shape.box is not None:
        require_inside(shape.box, size, f"{field}.box")
        selected = fill([_corners(*shape.box)], size)
    else:
        assert shape.rle is not None, "other masks are read, not drawn"
        if shape.rle.size != size[::-1]:
            raise InvalidRle(
                f"its size is {list(shape.rle.size)} (height, width), but the picture's is {[size[1], size[0]]}",
                field=f"{field}.rle.size",
            )
        selected = decode(shape.rle, f"{field}.rle")
    if not selected.any():
        raise EmptyMask(
            f"it selects no pixel of the picture, which is {size[0]}x{size[1]}; a pixel is selected if its centre "
            f"lies inside",
            field=field,
        )
    return operate(Image.fromarray(selected.astype(np.uint8) * 255), shape, field)


def _corners(x: float, y: float, width: float, height: float) -> Ring:
    return ((x, y), (x + width, y), (x + width, y + height), (x, y + height))


def operate(mask: Image.Image, operations: MaskOperations, field: str = "mask_shapes") -> Image.Image:
    """The mask (L, 0 and 255; with ``feather`` grey) after the operations.

    Raises:
        EmptyMask: the result is empty; names the operation within ``field``.
    """
    if operations.fill_holes:
        mask = Image.fromarray(fill_holes(np.asarray(mask) > 0).astype(np.uint8) * 255)
    if operations.grow:
        mask = dilate(mask, operations.grow)
    if operations.shrink:
        mask = ImageChops.invert(dilate(ImageChops.invert(mask), operations.shrink))
        _require_rest(mask, f"{field}.shrink", f"shrunk by {operations.shrink} pixels")
    if operations.invert:
        mask = ImageChops.invert(mask)
        _require_rest(mask, f"{field}.invert", "inverted")
    if isinstance(operations, MaskShape) and operations.feather:
        mask = _faded(mask, operations.feather)
    return mask


def _require_rest(mask: Image.Image, field: str, done: str) -> None:
    if mask.getbbox() is None:
        raise EmptyMask(f"{done} the mask is empty", field=field)


def _faded(mask: Image.Image, reach: int) -> Image.Image:
    """The mask faded over ``reach`` pixels on both sides of its edges, except at the picture's border."""
    wide = np.pad(np.asarray(mask), reach, mode="edge")
    soft = Image.fromarray(wide)
    # Two box filters in a row: a smooth slope that ends after ``reach`` pixels.
    for radius in (ceil(reach / 2), reach // 2):
        soft = soft.filter(ImageFilter.BoxBlur(radius))
    return soft.crop((reach, reach, reach + mask.width, reach + mask.height))


def describe(mask: Image.Image, score: float, label: str | None = None) -> Candidate:
    """The description of a non-empty mask (L, 0/255)."""
    selected = np.asarray(mask) > 0
    bbox = mask.getbbox()
    assert bbox is not None, "nothing is selected"
    polygons = outline(selected, TOLERANCE)[:RINGS]
    rings: tuple[Ring, ...] = tuple(ring for polygon in polygons for ring in polygon)
    return Candidate(
        score=round(min(max(score, 0.0), 1.0), 4),
        label=label,
        area=int(selected.sum()),
        box=(bbox[0], bbox[1], bbox[2] - bbox[0], bbox[3] - bbox[1]),
        polygon=rings,
        rle=encode(selected),
    )
