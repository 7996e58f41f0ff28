"""Validation of a submitted edit, before anything is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from fastapi.exceptions import RequestValidationError
from PIL import Image
from pydantic import ValidationError

from jobs.schema import EditRequest, ModelInfo
from jobs.settings import Settings
from magedit.config import EditConfig, MaskMode, Region
from magedit.errors import InvalidEdit, NotTogether, RegionMismatch, UnknownMethod
from magedit.images.masks import check_mask, read_mask
from magedit.methods.compatibility import CHOSEN, check_together, for_method
from magedit.methods.registry import METHODS
from magedit.prompts.alignment import Tokenize, find_word
from magedit.prompts.checks import EditWords, check_edit, check_prompt
from magedit.prompts.kinds import EditKind, with_kind
from magedit.prompts.reading import read_prompts
from magedit.prompts.weights import plain_prompts
from magedit.report import EditWarning
from service.edits.chaining import SourceEdit
from service.edits.form import EditForm, invalid
from service.images.uploads import UploadLimits, read_image, read_mask_image


class Checked(NamedTuple):
    """A request that can be carried out, the image (RGB or RGBA), and the masks as L with 0 or 255 (edit)."""

    request: EditRequest
    image: Image.Image
    masks: list[Image.Image]


def check(
    form: EditForm, info: ModelInfo, tokenize: Tokenize, settings: Settings, source: SourceEdit | None = None
) -> Checked:
    """Hold a form against the model and the limits of the settings; ``source`` is the picture if it is no upload.

    Raises:
        MAGEditError, RequestError, RequestValidationError: the edit is refused.
    """
    form, warnings = _without_weights(form)
    configs = _configs(form, info)
    for config in configs:
        _check_methods(config, info)
    if form.source_prompt is None:
        if source is None and any("source_prompt" in METHODS[config.method].inputs for config in configs):
            raise invalid("source_prompt", "say what the image shows; the edit starts from it")
        if source is None:
            # The target prompt stands for it; what is wrong with it is wrong at its own field.
            _check_prompt(form.target_prompt, "target_prompt", info, tokenize)
        form = replace(form, source_prompt=source.prompt if source is not None else form.target_prompt)
    _check_results(configs, settings.max_results)
    regions = _regions(form, max_regions=settings.max_regions)
    assert form.source_prompt is not None
    fit = partial(
        with_kind,
        kind=form.kind,
        source=form.source_prompt,
        target=form.target_prompt,
        given=form.given,
        preset=form.preset,
        has_words=any(region.words for region in regions),
    )
    kind = fit(configs[0])[0]
    configs = tuple(fit(config)[1] for config in configs)
    words = _check_words(form, regions, configs, info, tokenize)
    is_read = (form.kind == "auto" and form.preset != "exact") or not all(region.words for region in regions)
    if is_read and any(config.is_guided for config in configs):
        warnings += read_prompts(form.source_prompt, form.target_prompt).warnings
    words = words._replace(warnings=(*warnings, *words.warnings))
    request = _request(form, kind, configs, info, words)
    image, masks = _pictures(form, settings, source)
    return Checked(request, image, masks)


def _without_weights(form: EditForm) -> tuple[EditForm, tuple[EditWarning, ...]]:
    """The form with plain prompts; weights in them are factors of its equalizer, those that it has win."""
    plain = plain_prompts(form.source_prompt or "", form.target_prompt, form.prompt_syntax)
    config = replace(form.config, equalizer={**plain.equalizer, **form.config.equalizer})
    source = None if form.source_prompt is None else plain.source
    return replace(form, source_prompt=source, target_prompt=plain.target, config=config), plain.warnings


def _configs(form: EditForm, info: ModelInfo) -> tuple[EditConfig, ...]:
    """How to edit, once per method that is asked for; where none is and the model lacks the default, by its first."""
    if not form.compare:
        if "method" in form.given or form.config.method in info.methods:
            return (form.config,)
        return (replace(form.config, method=info.methods[0]),)
    if "method" in form.given:
        raise NotTogether("`compare` names the methods: leave `method` out, or `compare`", field="method")
    if len(set(form.compare)) < len(form.compare):
        raise invalid("compare", "a method is named twice; `n` and `sweep` make more results of one")
    used, default = {name for method in form.compare for name in METHODS[method].parameters}, EditConfig()
    for name in CHOSEN:
        if name not in used and getattr(form.config, name) != getattr(default, name):
            raise NotTogether(f"none of {', '.join(form.compare)} has a use for {name}: leave it out", field=name)
    return tuple(for_method(form.config, method) for method in form.compare)


def _check_methods(config: EditConfig, info: ModelInfo) -> None:
    if config.method not in info.methods:
        raise UnknownMethod(f"model {info.name!r} has no method {config.method!r}; it has {', '.join(info.methods)}")
    if METHODS[config.method].inversions and config.inversion not in info.inversions:
        raise UnknownMethod(
            f"model {info.name!r} has no inversion {config.inversion!r}; it has {', '.join(info.inversions)}",
            field="inversion",
        )
    check_together(config)


def _check_results(configs: Sequence[EditConfig], most: int) -> None:
    config, results = configs[0], sum(each.results for each in configs)
    if results <= most:
        return
    asked = f"`n` {config.n}" + (f" and {len(config.sweep)} strengths of `sweep`" if config.sweep else "")
    field = "n" if config.n > 1 else "sweep"
    if len(configs) > 1:
        asked, field = f"{asked}, by {len(configs)} methods,", "compare"
    raise invalid(field, f"{asked} make {results} results; at most {most} are made in one edit")


def _regions(form: EditForm, *, max_regions: int) -> tuple[Region, ...]:
    """One region per mask, from `regions`, or from `words` for a single mask; without either none has words."""
    masks = len(form.mask)
    if masks > max_regions:
        raise RegionMismatch(f"{masks} masks; at most {max_regions} regions are accepted in one edit", field="mask")
    words = tuple(word for word in form.words if word.strip())
    if form.regions is None:
        if masks > 1 and words:
            raise RegionMismatch(f"{masks} masks need `regions`: a JSON array with one object of words per mask")
        return (Region(words=words),) * masks
    if words:
        raise RegionMismatch("give the words in `regions` or as `words`, not both", field="words")
    regions = form.regions.root
    if len(regions) != masks:
        raise RegionMismatch(f"{len(regions)} regions for {masks} mask(s): give one per mask, in order")
    return regions


def _check_prompt(prompt: str, field: str, info: ModelInfo, tokenize: Tokenize) -> None:
    check_prompt(tokenize, prompt, max_tokens=info.max_prompt_tokens, field=field, vocabulary=info.vocabulary)


def _check_words(
    form: EditForm, regions: Sequence[Region], configs: Sequence[EditConfig], info: ModelInfo, tokenize: Tokenize
) -> EditWords:
    """The regions with their words resolved, checked with the model's own tokenizer."""
    assert form.source_prompt is not None
    resolved = check_edit(
        tokenize,
        form.source_prompt,
        form.target_prompt,
        regions,
        max_tokens=info.max_prompt_tokens,
        vocabulary=info.vocabulary,
        needs_words=any(config.is_guided for config in configs),
    )
    for negative in {config.negative_prompt for config in configs}:
        _check_prompt(negative, "negative_prompt", info, tokenize)
    for field in ("equalizer", "cross_replace_words"):
        for word in getattr(form.config, field):
            find_word(form.target_prompt, word, field=field)
    return resolved


def _request(
    form: EditForm, kind: EditKind, configs: tuple[EditConfig, ...], info: ModelInfo, words: EditWords
) -> EditRequest:
    assert form.source_prompt is not None
    try:
        return EditRequest(
            model=info.name,
            source_prompt=form.source_prompt,
            target_prompt=form.target_prompt,
            regions=words.regions,
            warnings=words.warnings,
            output_format=form.output_format,
            artifacts=tuple(dict.fromkeys(form.artifacts)),
            priority=form.priority,
            deadline_s=form.deadline_s,
            kind=kind,
            config=configs[0],
            compare=configs if form.compare else (),
        )
    except ValidationError as error:
        # Words that were found, not given, may be too many for one region.
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
        raise RequestValidationError(found) from error


def _pictures(form: EditForm, settings: Settings, source: SourceEdit | None) -> tuple[Image.Image, list[Image.Image]]:
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
