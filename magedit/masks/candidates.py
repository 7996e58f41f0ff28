"""Candidates for a mask, found by a segmenter or attention, described without their pictures."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from magedit.masks.rle import Rle

CANDIDATES_MAX: Final = 3
"""Most candidates in a response."""
Finder = Literal["segmenter", "detector", "attention"]
"""Source of a mask: a SAM-family model, a detector (its box, segmented if there is a segmenter), or the edit model's
attention."""


class Candidate(BaseModel):
    """One mask found in a picture."""

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")

    score: float = Field(ge=0, le=1, description="Confidence in [0, 1]; comparable only within one finder.")
    label: str | None = Field(default=None, description="The words that located it.")
    area: int = Field(description="Selected pixels.")
    box: tuple[int, int, int, int] = Field(description="x, y, width and height around the selected pixels.")
    polygon: tuple[tuple[tuple[float, float], ...], ...] = Field(
        description="Its outline as rings of points [x, y], simplified; a ring in another one is a hole. It is a "
        "`polygon` of `mask_shapes`."
    )
    rle: Rle = Field(description="The mask exactly, as COCO run lengths: an `rle` of `mask_shapes`.")


class SeenThing(BaseModel):
    """One thing that matches the words."""

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")

    box: tuple[float, float, float, float] = Field(description="x, y, width and height in pixels.")
    score: float = Field(ge=0, le=1, description="Confidence in [0, 1].")
    chosen: bool = Field(description="Whether the mask includes this one.")


class FoundRegion(Candidate):
    """The mask of a region, found at the start of the edit."""

    region: int = Field(description="Index of the region, from 0.")
    found_by: Finder
    seen: tuple[SeenThing, ...] = Field(
        default=(), description="Every thing that matches the words, highest confidence first."
    )
