"""Reads and checks the arguments of a pipeline call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from magedit.config import EditConfig, Region
from magedit.errors import InvalidEdit, MaskMismatch
from magedit.images import masks as pixels
from magedit.images.inputs import Picture, as_image, as_pictures
from magedit.images.transparency import flatten


@dataclass(frozen=True)
class Inputs:
    """``original`` as it was passed, ``image`` as RGB, ``masks`` (L, 0/255) with their ``union``."""

    original: Image.Image
    image: Image.Image
    masks: tuple[Image.Image, ...]
    union: Image.Image


def read_inputs(image: Picture, masks: Picture | Sequence[Picture]) -> Inputs:
    """The picture and its masks; a single mask needs no list.

    Raises:
        InvalidEdit: something is no picture, no mask is given, or a mask does not fit; says what to pass.
    """
    original = as_image(image, "image")
    given = as_pictures(masks, "masks")
    if not given:
        raise MaskMismatch("no mask is given: pass one per region, white where the picture may change")
    read = tuple(pixels.read_mask(mask, "white") for mask in given)
    for mask in read:
        pixels.check_mask(mask, original.size)
    return Inputs(original, flatten(original), read, pixels.union(read))


def trusted_inputs(image: Image.Image, masks: Sequence[Image.Image]) -> Inputs:
    """The same of a picture, and of masks (L, 0/255) of its size, that were read and checked before."""
    return Inputs(image, flatten(image), tuple(masks), pixels.union(masks))


def as_regions(regions: Region | Sequence[Region]) -> tuple[Region, ...]:
    """The regions; a single one needs no list.

    Raises:
        InvalidEdit: something else than regions.
    """
    several = (regions,) if isinstance(regions, Region) else regions
    wanted = "`Region(words=...)`, or a list of them, one per mask"
    return tuple(_of_type(each, Region, "regions", wanted) for each in several)


def as_config(config: EditConfig | None) -> EditConfig:
    """The configuration; the default one for None.

    Raises:
        InvalidEdit: something else.
    """
    return EditConfig() if config is None else _of_type(config, EditConfig, "config", "`EditConfig(...)`")


def check_prompts(**prompts: str) -> None:
    """Hold every prompt, by its name, against its type.

    Raises:
        InvalidEdit: one is no text.
    """
    for name, prompt in prompts.items():
        _of_type(prompt, str, name, "one text")


def _of_type(value: Any, kind: type[Any], field: str, wanted: str) -> Any:
    if not isinstance(value, kind):
        raise InvalidEdit(f"`{field}` holds {type(value).__name__}: pass {wanted}", field=field)
    return value


__all__ = ["Inputs", "Picture", "as_config", "as_regions", "check_prompts", "read_inputs", "trusted_inputs"]
