"""Location of region masks in the picture at the start of an edit."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from PIL import Image

from magedit.errors import InvalidEdit, NoFinder
from magedit.images.masks import selected_by
from magedit.instructions.reading import Instruction
from magedit.masks.candidates import Candidate, Finder, FoundRegion, SeenThing
from magedit.masks.raster import describe, operate
from magedit.masks.shapes import MaskPrompt, MaskShape, under
from magedit.measures.report import EditMeasures

ROOM: Final = 0.125
"""Room around a thing that is replaced, as a share of its box's longer side."""


class Described(Protocol):
    """A found mask; see `magedit.segmenters.finder.FoundMask`."""

    @property
    def picture(self) -> Image.Image: ...
    @property
    def candidate(self) -> Candidate: ...


class Candidates(Protocol):
    """The found masks; see `magedit.segmenters.finder.FoundMasks`."""

    @property
    def masks(self) -> Sequence[Described]: ...
    @property
    def found_by(self) -> Finder: ...
    @property
    def seen(self) -> tuple[SeenThing, ...]: ...


class MaskFinder(Protocol):
    """Interface of mask finders; see `magedit.segmenters.finder.Finders`."""

    def find(self, image: Image.Image, prompt: MaskPrompt) -> Candidates: ...


class Located(NamedTuple):
    """Masks (L, 0 and 255; soft ones grey) by region, their descriptions, and the time taken in seconds."""

    masks: Mapping[int, Image.Image]
    found: tuple[FoundRegion, ...]
    seconds: float

    def noted(self, measures: EditMeasures, instruction: Instruction | None) -> EditMeasures:
        """The edit's metrics, plus those of parsing the instruction and locating the masks."""
        before = {"read": instruction.seconds} if instruction else {}
        if self.found:
            before["find"] = self.seconds
        return replace(measures, stage_seconds=before | measures.stage_seconds, found=self.found)


def locate(
    finder: MaskFinder | None,
    image: Image.Image,
    shapes: Mapping[int, MaskShape],
    *,
    instructed: bool = False,
    takes_room: bool = False,
    field: str = "mask_shapes",
) -> Located:
    """Locate the masks of ``shapes``, by region, and apply their operations.

    Args:
        finder: the mask finder; None: not available.
        image: the picture, any size.
        shapes: the shapes with points or words.
        takes_room: the instruction inserts a thing of another shape: the mask is the box widened by `ROOM`.
        field: name of the shapes' field, for errors.
        instructed: the words come from an instruction, which errors then name.

    Raises:
        InvalidEdit: there is no suitable finder, nothing is found, or the operations leave an empty mask; names the
            part.
    """
    began = time.perf_counter()
    masks, found = {}, []
    for region, shape in shapes.items():
        prompt, own = shape.to_find, f"{field}.{region}"
        assert prompt is not None, "other masks are drawn or read"
        try:
            with under(own):
                if finder is None:
                    raise NoFinder(
                        f"the model cannot locate anything by `{prompt.needs}`: give a mask", field=prompt.needs
                    )
                candidates = finder.find(image, prompt)
        except InvalidEdit as error:
            if instructed:
                raise type(error)(error.message, field="instruction") from error
            raise
        best = candidates.masks[0]
        picture = best.picture
        if instructed and takes_room:
            picture = _with_room(picture)
        masks[region] = operate(picture, shape, own)
        described = describe(selected_by(masks[region]), best.candidate.score, prompt.words)
        found.append(FoundRegion(region=region, found_by=candidates.found_by, seen=candidates.seen, **dict(described)))
    return Located(masks, tuple(found), round(time.perf_counter() - began, 4))


def _with_room(mask: Image.Image) -> Image.Image:
    """The bounding box of a non-empty mask, widened by `ROOM` on every side."""
    box = mask.getbbox()
    assert box is not None, "nothing is selected"
    left, top, right, bottom = box
    room = round(ROOM * max(right - left, bottom - top))
    wide = Image.new("L", mask.size)
    wide.paste(255, (max(left - room, 0), max(top - room, 0), right + room, bottom + room))
    return wide
