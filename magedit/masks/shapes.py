"""A mask as data: a polygon, box, run lengths or an uploaded picture, and operations on it."""

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
"""Most pixels by which a mask grows, shrinks or fades."""
POINTS_MAX: Final = 64
"""Most points of one mask."""
WORDS_MAX: Final = 200
"""Longest words to find a thing by, in characters."""
RINGS_MAX: Final = 256
"""Most rings of one polygon."""
RING_MAX: Final = 10_000
"""Most points of one ring."""

Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
MaskPoint = tuple[Number, Number, Literal[0, 1]]
"""x, y in pixels from the top left corner, and 1: it belongs to the thing that is meant, or 0: it does not."""
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
"""The id of a mask that was found before."""

FindsBy = Literal["points", "box", "words"]
"""What a thing in a picture is found by."""


class MaskOperations(BaseModel):
    """Operations on a mask, applied in the order of the fields; lengths in pixels of the picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fill_holes: bool = Field(default=False, description="Select what lies in holes of the mask, too.")
    grow: int = Field(default=0, ge=0, le=REACH_MAX, description="Grow the mask by so many pixels on every side.")
    shrink: int = Field(default=0, ge=0, le=REACH_MAX, description="Shrink it by so many, after it has grown.")
    invert: bool = Field(default=False, description="Select everything else instead.")


class MaskShape(MaskOperations):
    """One mask: exactly one of what it can be made of, and the operations."""

    SOURCES: ClassVar = ("polygon", "box", "rle", "points", "words", "upload", "mask_id")

    polygon: Annotated[tuple[PolygonRing, ...], Field(max_length=RINGS_MAX)] | None = Field(
        default=None,
        description="Rings of points [x, y]: inside an odd number of them is selected, so a ring in another is a hole.",
    )
    box: MaskBox | None = Field(default=None, description="A rectangle: x, y, width, height.")
    rle: Rle | None = Field(default=None, description="COCO run-length encoding of the picture's size.")
    points: MaskPoints | None = Field(
        default=None,
        description="Clicks [x, y, label] by which the mask is found when the edit begins; label 1: on the "
        "thing that is meant, 0: not.",
    )
    words: Annotated[str, Field(max_length=WORDS_MAX)] | None = Field(
        default=None, description="Words by which the mask is found when the edit begins: `left sofa`."
    )
    mask_id: MaskId | None = Field(
        default=None, description="Id of a succeeded mask of yours (`POST /v1/masks`), of a picture of the same size."
    )
    candidate: int = Field(default=0, ge=0, le=100, description="Which candidate of `mask_id`, from 0, the best one.")
    feather: int = Field(
        default=0,
        ge=0,
        le=REACH_MAX,
        description="Fade the mask out over so many pixels on both sides of its edge, in the end; with `mask_softness` "
        "`strength`.",
    )
    upload: int | None = Field(default=None, ge=0, le=1000, description="Which of the pictures sent as `mask`, from 0.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in self.SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            told = {"sources": ", ".join(self.SOURCES), "given": " and ".join(given) or "none of them"}
            raise PydanticCustomError("one_source", "a mask is one of {sources}; this one has {given}", told)
        if self.candidate and self.mask_id is None:
            raise PydanticCustomError("no_mask_id", "`candidate` is one of a `mask_id`, which is not there", {})
        return self

    @property
    def to_find(self) -> MaskPrompt | None:
        """What is to be found in the picture for it, without the operations; None: it is there as it is."""
        if self.points is None and self.words is None:
            return None
        return MaskPrompt(points=self.points or (), words=self.words)

    def check_to_find(self, size: tuple[int, int], field: str) -> None:
        """Check what is to be found, for a picture of ``size`` (width, height). Raises as `MaskPrompt.check`."""
        if self.to_find is not None:
            with under(field):
                self.to_find.check(size)


# No least length: pydantic counts valid items alone, and would say of a wrong one that there is none.
MaskShapes = Annotated[tuple[MaskShape, ...], Field(max_length=64)]
_SHAPES: Final = TypeAdapter(MaskShapes)


def read_shapes(shapes: Any) -> tuple[MaskShape, ...]:
    """One shape, or several, as mappings or as they are.

    Raises:
        InvalidParameter: something in them is not what a shape has; names the place.
    """
    several = list(shapes) if isinstance(shapes, list | tuple) else [shapes]
    try:
        return _SHAPES.validate_python(several)
    except ValidationError as error:
        raise invalid_parameter(error, under="mask_shapes") from None


@contextmanager
def under(field: str) -> Iterator[None]:
    """Errors of a mask's own part, such as ``points.0``, named as parts of ``field``."""
    try:
        yield
    except InvalidEdit as error:
        raise type(error)(error.message, field=f"{field}.{error.field}") from error


def one_per_region(
    shapes: Sequence[MaskShape] | None, uploads: int, mask_ids: Sequence[MaskId] = (), *, instructed: bool = False
) -> tuple[MaskShape, ...]:
    """The shape of each region, where ``uploads`` pictures are sent; without shapes each picture, then each of
    ``mask_ids``, as it is. None where an instruction (``instructed``) is to tell it.

    Raises:
        InvalidParameter: there is neither, a picture that no shape uses, or a shape of one that is not there.
    """
    if shapes is None:
        if not uploads and not mask_ids:
            if instructed:
                return ()
            raise InvalidParameter(
                "say where to edit: give `mask` (a picture), `mask_shapes` (JSON) or `mask_id`, or an `instruction` "
                "that names the thing",
                field="mask",
            )
        pictures = (MaskShape(upload=number) for number in range(uploads))
        return (*pictures, *(MaskShape(mask_id=each) for each in mask_ids))
    if mask_ids:
        raise InvalidParameter('name it in `mask_shapes` ({"mask_id": ...}), as these are given too', field="mask_id")
    if not shapes:
        raise InvalidParameter("it is an empty array: give one object per region", field="mask_shapes")
    used = [shape.upload for shape in shapes]
    for number in range(uploads):
        if number not in used:
            raise InvalidParameter(
                f'picture {number} is used by no shape of `mask_shapes`: name it in one ({{"upload": {number}}}), or '
                "leave it out",
                field="mask",
            )
    for number, upload in enumerate(used):
        if upload is not None and upload >= uploads:
            there = f"there are {uploads}, counted from 0" if uploads else "none was sent"
            raise InvalidParameter(f"there is no `mask` {upload}: {there}", field=f"mask_shapes.{number}.upload")
    return tuple(shapes)


def require_inside(box: MaskBox, size: tuple[int, int], field: str) -> None:
    """Hold a box against a picture of ``size`` (width, height). Raises InvalidBox, which names ``field``."""
    x, y, width, height = box
    if x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0:
        raise InvalidBox(
            f"the box from ({x:g}, {y:g}) to ({x + width:g}, {y + height:g}) is outside the picture, which is "
            f"{size[0]}x{size[1]}",
            field=field,
        )


def require_soft(shape: MaskShape, softness: MaskSoftness, field: str) -> None:
    """Refuse a faded edge where grey has no meaning. Raises NotTogether."""
    if shape.feather and softness == "none":
        raise NotTogether(
            "a faded edge is grey, which has no meaning without `mask_softness` `strength`: give that too, or leave "
            "feather out",
            field=f"{field}.feather",
        )


class MaskPrompt(MaskOperations):
    """What is to be found in a picture, and what is done to the mask of it."""

    points: MaskPoints = Field(
        default=(),
        description="Clicks: [x, y, label], in pixels from the top left corner; label 1: it belongs to the thing that "
        "is meant, 0: it does not.",
    )
    box: MaskBox | None = Field(
        default=None, description="A box around the thing that is meant: x, y, width and height in pixels."
    )
    words: Annotated[str, Field(max_length=WORDS_MAX)] | None = Field(
        default=None,
        description="What is meant, in words. *left*, *second*, *largest* and the like choose among several: `left "
        "sofa`, `second pillow`.",
    )

    def check_alone(self) -> None:
        """Check what needs no picture. Raises InvalidParameter: nothing tells what is meant, or too much does."""
        if self.words is not None and (self.points or self.box is not None):
            raise InvalidParameter("give words, or points and a box: both cannot be meant", field="words")
        if self.words is not None and not self.words.strip():
            raise InvalidParameter("it is empty: say what is meant, or leave it out", field="words")
        if self.words is None and not self.points and self.box is None:
            raise InvalidParameter("say what is meant: give `points`, a `box` or `words`", field="points")
        if self.points and self.box is None and not any(label for *_, label in self.points):
            raise InvalidParameter("all points have label 0: click on what is meant, too (label 1)", field="points")

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
                    f"({x:g}, {y:g}) is not in the picture, whose pixels are (0, 0) to ({size[0] - 1}, {size[1] - 1})",
                    field=f"points.{number}",
                )
        if self.box is not None:
            require_inside(self.box, size, "box")

    @property
    def needs(self) -> FindsBy:
        """By what the thing is to be found."""
        return "words" if self.words is not None else "points" if self.points else "box"


def read_prompt(values: Mapping[str, Any]) -> MaskPrompt:
    """What is to be found, of values that are still to be checked. Raises InvalidParameter, which names the place."""
    try:
        return MaskPrompt.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise invalid_parameter(error) from None
