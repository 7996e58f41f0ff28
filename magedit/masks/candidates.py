"""Candidates for a mask, found by a segmenter or attention, described without their pictures."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from magedit.masks.polygons import Ring, outline
from magedit.masks.rle import Rle, encode

CANDIDATES_MAX: Final = 3
"""Most candidates that are answered."""
TOLERANCE: Final = 0.75
"""How far a polygon's corners may be from the mask's edge, in pixels."""
RINGS: Final = 32
"""Most polygons of one candidate that are told; the run lengths have all."""

Finder = Literal["segmenter", "detector", "attention"]
"""What found it: a model of SAM's family, a detector (its box, segmented where there is a segmenter), or the edit
model's own attention."""


class Candidate(BaseModel):
    """One mask that was found."""

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")

    score: float = Field(ge=0, le=1, description="How sure the finder is, 0..1; only comparable within one finder.")
    label: str | None = Field(default=None, description="The words that it was found by.")
    area: int = Field(description="Selected pixels.")
    box: tuple[int, int, int, int] = Field(description="x, y, width and height around the selected pixels.")
    polygon: tuple[tuple[tuple[float, float], ...], ...] = Field(
        description="Its outline as rings of points [x, y], simplified; a ring in another one is a hole. It is a "
        "`polygon` of `mask_shapes`."
    )
    rle: Rle = Field(description="The mask exactly, as COCO run lengths: an `rle` of `mask_shapes`.")


def describe(mask: Image.Image, score: float, label: str | None = None) -> Candidate:
    """The description of a mask (L, 0/255) that selects something."""
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
