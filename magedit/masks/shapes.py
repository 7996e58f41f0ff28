"""A mask as data: a polygon, box, run lengths or an uploaded picture, with operations on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from magedit.config import MaskSoftness
from magedit.config.parameters import invalid_parameter
from magedit.errors import (
    InvalidBox,
    InvalidEdit,
    InvalidParameter,
    NotTogether,
    PointOutside,
)
from magedit.masks.rle import Rle

REACH_MAX: Final = 1000
"""Largest distance in pixels by which a mask grows, shrinks or fades."""
POINTS_MAX: Final = 64
"""Most points of one mask."""
WORDS_MAX: Final = 200
"""Longest description of a thing to locate, in characters."""
RINGS_MAX: Final = 256
"""Most rings of one polygon."""
RING_MAX: Final = 10_000
"""Most points of one ring."""

Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
MaskPoint = tuple[Number, Number, Literal[0, 1]]
"""x, y in pixels from the top left corner, and label 1 (on the thing) or 0 (not on it)."""
MaskPoints = Annotated[tuple[MaskPoint, ...], Field(max_length=POINTS_MAX)]
MaskBox = tuple[
    Number,
    Number,
    Annotated[float, Field(gt=0, le=1e6)],
    Annotated[float, Field(gt=0, le=1e6)],
]
"""x, y of the top left corner, width and height, in pixels."""


PolygonRing = Annotated[tuple[tuple[Number, Number], ...], Field(max_length=RING_MAX)]

MaskId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""The id of an earlier mask."""

FindsBy = Literal["points", "box", "words"]
"""The kinds of input that locate a thing in a picture."""


class MaskOperations(BaseModel):
    """Operations on a mask, applied in the order of the fields; lengths in pixels of the picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fill_holes: bool = Field(default=False, description="Fill the holes of the mask.")
    grow: int = Field(default=0, ge=0, le=REACH_MAX, description="Grow the mask by this many pixels on every side.")
    shrink: int = Field(
        default=0, ge=0, le=REACH_MAX, description="Shrink the mask by this many pixels, after growing it."
    )
    invert: bool = Field(default=False, description="Invert the mask.")


class MaskShape(MaskOperations):
    """One mask: exactly one source and the operations on it."""

    SOURCES: ClassVar = ("polygon", "box", "rle", "points", "words", "upload", "mask_id")

    polygon: Annotated[tuple[PolygonRing, ...], Field(max_length=RINGS_MAX)] | None = Field(
        default=None,
        description="Rings of points [x, y]; points inside an odd number of rings are selected, so a ring within "
        "another is a hole.",
    )
    box: MaskBox | None = Field(default=None, description="A rectangle: x, y, width, height.")
    rle: Rle | None = Field(default=None, description="COCO run-length encoding at the picture's size.")
    points: MaskPoints | None = Field(
        default=None,
        description="Clicks [x, y, label] that locate the mask at the start of the edit; label 1: on the thing, 0: "
        "not on it.",
    )
    words: Annotated[str, Field(max_length=WORDS_MAX)] | None = Field(
        default=None, description="Words that locate the mask at the start of the edit: `left sofa`."
    )
    mask_id: MaskId | None = Field(
        default=None,
        description="Id of a mask you made (`POST /v1/masks`) that has succeeded, for a picture of the same size.",
    )
    candidate: int = Field(default=0, ge=0, le=100, description="Index of the candidate of `mask_id`; 0 is the best.")
    feather: int = Field(
        default=0,
        ge=0,
        le=REACH_MAX,
        description="Fade the mask over this many pixels on both sides of its edge, as the last operation; requires "
        "`mask_softness` `strength`.",
    )
    upload: int | None = Field(default=None, ge=0, le=1000, description="Index of the picture sent as `mask`, from 0.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in self.SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            told = {"sources": ", ".join(self.SOURCES), "given": " and ".join(given) or "none of them"}
            raise PydanticCustomError("one_source", "a mask has exactly one of {sources}; this one has {given}", told)
        if self.candidate and self.mask_id is None:
            raise PydanticCustomError(
                "no_mask_id", "`candidate` selects a candidate of `mask_id`, which is missing", {}
            )
        return self

    @property
    def to_find(self) -> MaskPrompt | None:
        """The mask prompt, without the operations; None if the shape needs no search."""
        if self.points is None and self.words is None:
            return None
        return MaskPrompt(points=self.points or (), words=self.words)

    def check_to_find(self, size: tuple[int, int], field: str) -> None:
        """Check the mask prompt, for a picture of ``size`` (width, height). Raises as `MaskPrompt.check`."""
        if self.to_find is not None:
            with under(field):
                self.to_find.check(size)


# No minimum length: pydantic counts only valid items and would report an invalid one as missing.
MaskShapes = Annotated[tuple[MaskShape, ...], Field(max_length=64)]
_SHAPES: Final = TypeAdapter(MaskShapes)


def read_shapes(shapes: Any) -> tuple[MaskShape, ...]:
    """Parse one or several shapes, given as mappings or instances.

    Raises:
        InvalidParameter: a shape has an unknown key or an invalid value; names the place.
    """
    several = list(shapes) if isinstance(shapes, list | tuple) else [shapes]
    try:
        return _SHAPES.validate_python(several)
    except ValidationError as error:
        raise invalid_parameter(error, under="mask_shapes") from None


@contextmanager
def under(field: str) -> Iterator[None]:
    """Prefix ``field`` to the place named by errors of a mask's parts, such as ``points.0``."""
    try:
        yield
    except InvalidEdit as error:
        raise type(error)(error.message, field=f"{field}.{error.field}") from error


def one_per_region(
    shapes: Sequence[MaskShape] | None, uploads: int, mask_ids: Sequence[MaskId] = (), *, instructed: bool = False
) -> tuple[MaskShape, ...]:
    """The shape of each region, for ``uploads`` uploaded pictures; without shapes, each picture and then each of
    ``mask_ids`` unchanged. None if an instruction (``instructed``) locates the mask.

    Raises:
        InvalidParameter: no mask is given, no shape uses a picture, or a shape refers to a missing picture.
    """
    if shapes is None:
        if not uploads and not mask_ids:
            if instructed:
                return ()
            raise InvalidParameter(
                "say where to edit: give `mask` (a picture), `mask_shapes` (JSON), `mask_id`, or an `instruction` "
                "that names the thing",
                field="mask",
            )
        pictures = (MaskShape(upload=number) for number in range(uploads))
        return (*pictures, *(MaskShape(mask_id=each) for each in mask_ids))
    if mask_ids:
        raise InvalidParameter('`mask_shapes` is given too: name the mask there ({"mask_id": ...})', field="mask_id")
    if not shapes:
        raise InvalidParameter("it is an empty array: give one object per region", field="mask_shapes")
    used = [shape.upload for shape in shapes]
    for number in range(uploads):
        if number not in used:
            raise InvalidParameter(
                f'picture {number} is not used by any shape in `mask_shapes`: refer to it ({{"upload": {number}}}), '
                "or leave it out",
                field="mask",
            )
    for number, upload in enumerate(used):
        if upload is not None and upload >= uploads:
            there = f"there are {uploads}, counted from 0" if uploads else "none was sent"
            raise InvalidParameter(f"there is no `mask` {upload}: {there}", field=f"mask_shapes.{number}.upload")
    return tuple(shapes)


def require_inside(box: MaskBox, size: tuple[int, int], field: str) -> None:
    """Check that a box overlaps a picture of ``size`` (width, height). Raises InvalidBox, which names ``field``."""
    x, y, width, height = box
    if x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0:
        raise InvalidBox(
            f"the box from ({x:g}, {y:g}) to ({x + width:g}, {y + height:g}) is outside the picture, which is "
            f"{size[0]}x{size[1]}",
            field=field,
        )


def require_soft(shape: MaskShape, softness: MaskSoftness, field: str) -> None:
    """Check that a faded edge comes with strength masks. Raises NotTogether."""
    if shape.feather and softness == "none":
        raise NotTogether(
            "a faded edge is grey, which needs `mask_softness` `strength`: set it, or leave `feather` out",
            field=f"{field}.feather",
        )


class MaskPrompt(MaskOperations):
    """The thing to locate in a picture, and the operations on its mask."""

    points: MaskPoints = Field(
        default=(),
        description="Clicks: [x, y, label], in pixels from the top left corner; label 1: on the thing, 0: not on it.",
    )
    box: MaskBox | None = Field(default=None, description="A box around the thing: x, y, width and height in pixels.")
    words: Annotated[str, Field(max_length=WORDS_MAX)] | None = Field(
        default=None,
        description="The thing in words. *left*, *second*, *largest* and the like choose among several: `left sofa`, "
        "`second pillow`.",
    )

    def check_alone(self) -> None:
        """Check what needs no picture. Raises InvalidParameter unless exactly one way to locate the thing is given."""
        if self.words is not None and (self.points or self.box is not None):
            raise InvalidParameter("give either words, or points and a box", field="words")
        if self.words is not None and not self.words.strip():
            raise InvalidParameter("it is empty: describe the thing, or leave it out", field="words")
        if self.words is None and not self.points and self.box is None:
            raise InvalidParameter("nothing to locate: give `points`, a `box` or `words`", field="points")
        if self.points and self.box is None and not any(label for *_, label in self.points):
            raise InvalidParameter("all points have label 0: add at least one on the thing (label 1)", field="points")

    def check(self, size: tuple[int, int]) -> None:
        """Check all of it, for a picture of ``size`` (width, height).

        Raises:
            InvalidParameter: as `check_alone`.
            PointOutside, InvalidBox: one lies outside.
        """
        self.check_alone()
        for number, (x, y, _) in enumerate(self.points):
            if not (0 <= x < size[0] and 0 <= y < size[1]):
                raise PointOutside(
                    f"({x:g}, {y:g}) is outside the picture, whose pixels are (0, 0) to ({size[0] - 1}, {size[1] - 1})",
                    field=f"points.{number}",
                )
        if self.box is not None:
            require_inside(self.box, size, "box")

    @property
    def needs(self) -> FindsBy:
        """The kind of input that locates the thing."""
        return "words" if self.words is not None else "points" if self.points else "box"


def read_prompt(values: Mapping[str, Any]) -> MaskPrompt:
    """Parse unchecked values into a mask prompt. Raises InvalidParameter, which names the place."""
    try:
        return MaskPrompt.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise invalid_parameter(error) from None
