"""What a new edit must be: model, methods, regions, words and pictures, checked before anything is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from fastapi.exceptions import RequestValidationError
from PIL import Image
from pydantic import ValidationError

from jobs.schema import EditRequest, ModelInfo
from jobs.settings import Settings
from magedit.catalog import METHOD_CARDS, check_together
from magedit.config import EditConfig, MaskMode, Region
from magedit.errors import InvalidEdit, RegionMismatch, UnknownMethod
from magedit.kinds import EditKind, with_filling, with_kind
from magedit.masks import check_mask, read_mask
from magedit.prompts import Tokenize, check_edit, check_prompt, find_word
from service.form import EditForm, invalid
from service.source import Source
from service.uploads import UploadLimits, read_image, read_mask_image


class Checked(NamedTuple):
    """A request that can be carried out, the image (RGB or RGBA), and the masks as L with 0 or 255 (edit)."""

    request: EditRequest
    image: Image.Image
    masks: list[Image.Image]


def check(
    form: EditForm, info: ModelInfo, tokenize: Tokenize, settings: Settings, source: Source | None = None
) -> Checked:
    """Hold a form against the model and the limits of the settings; ``source`` is the picture if it is no upload.

    Raises:
        MAGEditError, RequestError, RequestValidationError: the edit is refused.
    """
    _check_methods(form.config, info)
    if form.source_prompt is None:
        if source is None and "source_prompt" in METHOD_CARDS[form.config.method].inputs:
            raise invalid("source_prompt", "Field required")
        form = replace(form, source_prompt=source.prompt if source is not None else form.target_prompt)
    _check_results(form.config, settings.max_results)
    regions = _regions(form, max_regions=settings.max_regions)
    assert form.source_prompt is not None
    kind, config = with_kind(
        form.config,
        form.kind,
        form.source_prompt,
        form.target_prompt,
        given=form.given,
        preset=form.preset,
        has_words=any(region.words for region in regions),
    )
    regions = with_filling(regions, form.source_prompt, form.target_prompt)
    form = replace(form, config=config)
    request = _request(form, kind, info, _check_words(form, regions, info, tokenize))
    image, masks = _pictures(form, settings, source)
    return Checked(request, image, masks)


def _check_methods(config: EditConfig, info: ModelInfo) -> None:
    if config.method not in info.methods:
        raise UnknownMethod(f"model {info.name!r} has no method {config.method!r}; it has {', '.join(info.methods)}")
    if METHOD_CARDS[config.method].inversions and config.inversion not in info.inversions:
        raise UnknownMethod(
            f"model {info.name!r} has no inversion {config.inversion!r}; it has {', '.join(info.inversions)}",
            field="inversion",
        )
    check_together(config)


def _check_results(config: EditConfig, most: int) -> None:
    if config.results > most:
        asked = f"`n` {config.n}" + (f" and {len(config.sweep)} strengths of `sweep`" if config.sweep else "")
        field = "n" if config.n > 1 else "sweep"
        raise invalid(field, f"{asked} make {config.results} results; at most {most} are made in one edit")


def _regions(form: EditForm, *, max_regions: int) -> tuple[Region, ...]:
    """One region per mask, from `regions`, or from `words` for a single mask."""
    masks = len(form.mask)
    if masks > max_regions:
        raise RegionMismatch(f"{masks} masks; at most {max_regions} regions are accepted in one edit", field="mask")
    words = tuple(word for word in form.words if word.strip())
    if form.regions is None:
        if masks > 1:
            raise RegionMismatch(f"{masks} masks need `regions`: a JSON array with one object of words per mask")
        return (Region(words=words),)
    if words:
        raise RegionMismatch("give the words in `regions` or as `words`, not both", field="words")
    regions = form.regions.root
    if len(regions) != masks:
        raise RegionMismatch(f"{len(regions)} regions for {masks} mask(s): give one per mask, in order")
    return regions


def _check_words(form: EditForm, regions: Sequence[Region], info: ModelInfo, tokenize: Tokenize) -> tuple[Region, ...]:
    """The regions with their words resolved, checked with the model's own tokenizer."""
    assert form.source_prompt is not None
    resolved = check_edit(
        tokenize,
        form.source_prompt,
        form.target_prompt,
        regions,
        max_tokens=info.max_prompt_tokens,
        vocabulary=info.vocabulary,
        needs_words=form.config.is_guided,
    )
    check_prompt(
        tokenize,
        form.config.negative_prompt,
        max_tokens=info.max_prompt_tokens,
        field="negative_prompt",
        vocabulary=info.vocabulary,
    )
    for field in ("equalizer", "cross_replace_words"):
        for word in getattr(form.config, field):
            find_word(form.target_prompt, word, field=field)
    return resolved


def _request(form: EditForm, kind: EditKind, info: ModelInfo, regions: tuple[Region, ...]) -> EditRequest:
    assert form.source_prompt is not None
    try:
        return EditRequest(
            model=info.name,
            source_prompt=form.source_prompt,
            target_prompt=form.target_prompt,
            regions=regions,
            output_format=form.output_format,
            artifacts=tuple(dict.fromkeys(form.artifacts)),
            priority=form.priority,
            deadline_s=form.deadline_s,
            kind=kind,
            config=form.config,
        )
    except ValidationError as error:
        # Words that were found, not given, may be too many for one region.
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
        raise RequestValidationError(found) from error


def _pictures(form: EditForm, settings: Settings, source: Source | None) -> tuple[Image.Image, list[Image.Image]]:
    """The image, and the masks as L with 0 or 255 (edit), all of one size."""
    limits = UploadLimits(
        max_bytes=settings.max_upload_bytes, max_pixels=settings.max_pixels, max_side=settings.max_side
    )
    if source is not None:
        image = source.image
    elif form.image is not None:
        image = read_image(form.image.file.read(), field="image", limits=limits)
    else:
        raise invalid("image", "give a picture as `image`, or as `source_edit` the id of an edit whose result it is")
    masks = []
    for number, upload in enumerate(form.mask):
        field = "mask" if len(form.mask) == 1 else f"mask.{number}"
        mask = read_mask_image(upload.file.read(), field=field, limits=limits)
        masks.append(_mask(mask, form.mask_mode, image.size, field))
    return image, masks


def _mask(upload: Image.Image, mode: MaskMode, size: tuple[int, int], field: str) -> Image.Image:
    try:
        mask = read_mask(upload, mode)
        check_mask(mask, size)
    except InvalidEdit as error:
        # The likely reason: the mask was drawn on the pixels as they lie in the file.
        turned = upload.size != size and upload.size == size[::-1]
        hint = (
            ". The image counts upright, turned as its EXIF orientation says: draw the mask on that" if turned else ""
        )
        raise type(error)(error.message + hint, field=field) from error
    return mask
