"""Parsing and validation of a pipeline call's arguments."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from PIL import Image

from magedit.config import EditConfig, MaskSoftness, Region
from magedit.edits.asked import AskedEdit
from magedit.edits.checkpoint import Checkpoint
from magedit.edits.resolve import resolve
from magedit.edits.resolved import ResolvedEdit
from magedit.errors import InvalidEdit, MaskMismatch
from magedit.images import masks as pixels
from magedit.images.inputs import Picture, as_image, as_picture
from magedit.images.transparency import flatten
from magedit.masks.raster import draw
from magedit.masks.shapes import MaskShape, read_shapes, require_soft
from magedit.prompts.weights import PromptSyntax

Mask: TypeAlias = "Picture | MaskShape | Mapping[str, Any]"
"""A picture, or a mask as data (`magedit.masks.shapes.MaskShape`), also as a mapping."""


class WorkingCrop(NamedTuple):
    """The square ``box`` of the picture that the model edits; ``image`` and the masks' union ``mask`` at its size."""

    box: pixels.Box
    image: Image.Image
    mask: Image.Image


@dataclass(frozen=True)
class Inputs:
    """``original`` as it was passed, ``image`` as RGB, ``masks`` (L, 0/255) with their ``union``; ``strength`` (L) is
    how much each pixel may change, None: each inside the masks entirely."""

    original: Image.Image
    image: Image.Image
    masks: tuple[Image.Image, ...]
    union: Image.Image
    strength: Image.Image | None = None

    def crop(self, size: int, context: float) -> WorkingCrop:
        """The working crop around the masks, with ``context`` as in `EditConfig.crop_context`, at ``size`` px."""
        box = pixels.working_crop(self.union, size, context)
        return WorkingCrop(box, pixels.crop_to(self.image, box, size), pixels.crop_to(self.union, box, size))


def read_inputs(image: Picture, masks: Mask | Sequence[Mask], softness: MaskSoftness = "none") -> Inputs:
    """The picture and its masks; a single mask needs no list. ``softness`` says what grey in them means.

    Raises:
        InvalidEdit: something is not a picture, no mask is given, or a mask does not fit; says what to pass.
    """
    original = as_image(image, "image")
    given = as_masks(masks)
    if not given:
        raise MaskMismatch("no mask is given: pass one per region, white where the picture may change")
    read = [_read_mask(mask, number, original.size, softness) for number, mask in enumerate(given)]
    return trusted_inputs(original, read, softness)


def as_masks(masks: Mask | Sequence[Mask]) -> list[Any]:
    """The masks as a list; a single one needs none."""
    return list(masks) if isinstance(masks, list | tuple) else [masks]


def _read_mask(mask: Any, number: int, size: tuple[int, int], softness: MaskSoftness) -> Image.Image:
    if isinstance(mask, MaskShape | Mapping):
        (shape,) = read_shapes(mask)
        require_soft(shape, softness, f"masks.{number}")
        if shape.upload is not None:
            raise InvalidEdit("`upload` is only for HTTP requests: pass the picture itself", field=f"masks.{number}")
        if shape.to_find is not None:
            raise InvalidEdit(
                "only `MAGEditPipeline` locates `points` and `words` during an edit: find the mask with its "
                "`segment` first",
                field=f"masks.{number}",
            )
        return draw(shape, size, f"masks.{number}")
    read_one = pixels.read_mask if softness == "none" else pixels.read_strength
    read = read_one(as_picture(mask, "masks"), "white")
    pixels.check_mask(read, size)
    return read


def shapes_to_find(masks: Sequence[Mask], size: tuple[int, int]) -> dict[int, MaskShape]:
    """The masks with points or words, by region; checked for a picture of ``size`` (width, height).

    Raises:
        InvalidEdit: a mapping is not a valid shape, or its points lie outside the picture.
    """
    shapes = {}
    for number, mask in enumerate(masks):
        if isinstance(mask, MaskShape | Mapping):
            (shape,) = read_shapes(mask)
            if shape.to_find is not None:
                shape.check_to_find(size, f"masks.{number}")
                shapes[number] = shape
    return shapes


def trusted_inputs(image: Image.Image, masks: Sequence[Image.Image], softness: MaskSoftness = "none") -> Inputs:
    """The same for a picture and masks (L, 0/255; soft ones grey) of its size that are already validated."""
    if softness == "none":
        return Inputs(image, flatten(image), tuple(masks), pixels.union(masks))
    selected = tuple(pixels.selected_by(mask) for mask in masks)
    return Inputs(image, flatten(image), selected, pixels.union(selected), pixels.union(masks))


def resolve_call(
    checkpoint: Checkpoint,
    masks: int,
    source_prompt: str | None,
    target_prompt: str | None,
    regions: Region | Sequence[Region],
    config: EditConfig,
    prompt_syntax: PromptSyntax = "plain",
    instruction: str | None = None,
) -> ResolvedEdit:
    """Resolve the arguments of a call for ``checkpoint``, as a service resolves a request; emits warnings.

    Raises:
        InvalidEdit: an argument is invalid; says why and how to fix it.
    """
    asked = AskedEdit(
        source_prompt=source_prompt,
        target_prompt=target_prompt,
        instruction=instruction,
        regions=as_regions(regions) or None,
        prompt_syntax=prompt_syntax,
        config=config,
        given=config.given,
    )
    edit = resolve(asked, checkpoint, masks=masks).edit()
    for warning in edit.warnings:
        warnings.warn(warning.message, stacklevel=4)  # the caller's line, skipping `__call__` and torch's decorator
    return edit


def as_regions(regions: Region | Sequence[Region]) -> tuple[Region, ...]:
    """The regions; a single one needs no list.

    Raises:
        InvalidEdit: something other than regions.
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


def check_prompts(**prompts: str | None) -> None:
    """Check the type of every given prompt.

    Raises:
        InvalidEdit: a prompt has the wrong type.
    """
    for name, prompt in prompts.items():
        if prompt is not None:
            _of_type(prompt, str, name, "one text")


def _of_type(value: Any, kind: type[Any], field: str, wanted: str) -> Any:
    if not isinstance(value, kind):
        raise InvalidEdit(f"`{field}` has a value of type {type(value).__name__}: pass {wanted}", field=field)
    return value


__all__ = ["Inputs", "Mask", "Picture", "as_config", "check_prompts", "read_inputs", "resolve_call", "trusted_inputs"]
