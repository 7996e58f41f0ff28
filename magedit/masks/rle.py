"""COCO run-length encoding of masks: column-major, alternating runs of 0 and 1, 0 first."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Discriminator, Field, NonNegativeInt, PositiveInt, Tag

from magedit.errors import InvalidRle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RUNS_MAX: Final = 200_000
"""Most runs of one mask."""

_OFFSET: Final = 48
_LAST: Final = _OFFSET + 63
"""Character codes of the compressed encoding: `0` to `o`, six bits each."""


class Rle(BaseModel):
    """A mask's runs: ``counts`` as numbers, or as pycocotools' compressed string."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    counts: Annotated[
        Annotated[str, Tag("text")] | Annotated[tuple[NonNegativeInt, ...], Field(max_length=RUNS_MAX), Tag("numbers")],
        Discriminator(lambda counts: "text" if isinstance(counts, str) else "numbers"),
    ] = Field(description="Lengths of the runs, 0 first, in column-major order: numbers, or COCO's compressed string.")
    size: tuple[PositiveInt, PositiveInt] = Field(description="Height and width of the mask in pixels.")


def decode(rle: Rle, field: str) -> NDArray[np.bool_]:
    """The mask, (height, width).

    Raises:
        InvalidRle: the string has invalid characters, is truncated or gives negative runs, or the runs do not fill the
            size; names ``field``.
    """
    import numpy as np

    height, width = rle.size
    counts = _decompress(rle.counts, field) if isinstance(rle.counts, str) else list(rle.counts)
    total = sum(counts)
    if total != height * width:
        raise InvalidRle(
            f"the runs add up to {total} pixels, but size {height} x {width} (height x width) has {height * width}",
            field=f"{field}.counts",
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def encode(mask: NDArray[np.bool_], *, compressed: bool = True) -> Rle:
    """The runs of a mask (height, width)."""
    import numpy as np

    height, width = mask.shape
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    starts = [0, *edges.tolist(), flat.size]
    counts = [after - before for before, after in pairwise(starts)]
    if flat.size and flat[0]:
        counts = [0, *counts]
    return Rle(counts=_compress(counts) if compressed else tuple(counts), size=(height, width))


def _decompress(text: str, field: str) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for place, character in enumerate(text):
        code = ord(character) - _OFFSET
        if not 0 <= code <= _LAST - _OFFSET:
            raise InvalidRle(
                f"character {place} of the compressed runs is {character!r}; only `0` to `o` are valid",
                field=f"{field}.counts",
            )
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            if shift > 60:
                raise InvalidRle(f"the run that ends after character {place} is too long", field=f"{field}.counts")
            continue
        if code & 0x10:
            value |= -1 << shift
        # from the third on, a run is stored as its difference from the run two before it
        count = value + (counts[-2] if len(counts) > 2 else 0)
        if count < 0:
            raise InvalidRle(f"run {len(counts)} is negative ({count})", field=f"{field}.counts")
        if len(counts) == RUNS_MAX:
            raise InvalidRle(f"there are more than {RUNS_MAX} runs", field=f"{field}.counts")
        counts.append(count)
        value = shift = 0
    if shift:
        raise InvalidRle("the compressed runs end in the middle of a number", field=f"{field}.counts")
    return counts


def _compress(counts: list[int]) -> str:
    text: list[str] = []
    for number, count in enumerate(counts):
        value = count - counts[number - 2] if number > 2 else count
        more = True
        while more:
            code = value & 0x1F
            value >>= 5
            more = value != (-1 if code & 0x10 else 0)
            text.append(chr((code | 0x20 if more else code) + _OFFSET))
    return "".join(text)
