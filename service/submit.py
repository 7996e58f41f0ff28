"""A new edit: check everything, keep the inputs, write the record, put it in line. In that order nothing is lost.

Whatever is refused is refused before anything is stored. Whatever is recorded is carried out: if putting it in line
fails, the reaper finds the open record and does it.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from fastapi.exceptions import RequestValidationError
from PIL import Image
from pydantic import ValidationError

from jobs.errors import QueueFull, StoreUnavailable, Unavailable
from jobs.schema import EditRequest, JobRecord, ModelInfo, new_id
from jobs.storage import image_key, job_prefix, mask_key
from magedit.config import EditConfig, MaskMode, Region
from magedit.errors import InvalidEdit, RegionMismatch, UnknownMethod
from magedit.masks import check_mask, read_mask
from magedit.prompts import check_edit, find_word
from service.backend import Backend
from service.form import EditForm
from service.uploads import UploadLimits, read_image, read_mask_image, to_png

log = structlog.get_logger(__name__)

PNG = "image/png"


def submit(form: EditForm, *, tenant: str, backend: Backend) -> JobRecord:
    """Accept an edit; its record is durable when this returns.

    Raises:
        MAGEditError, RequestError, RequestValidationError: the edit is refused; nothing was stored.
        UnknownModel, Unavailable: not now or not here; nothing was stored.
    """
    info = backend.models.require(form.model or backend.settings.default_model).info
    _check_methods(form.config, info)
    regions = _regions(form, max_regions=backend.settings.max_regions)
    request = _request(form, info, _check_words(form, regions, info, backend))
    image, masks = _pictures(form, backend)
    return _accept(request, image, masks, tenant=tenant, backend=backend)


def _check_methods(config: EditConfig, info: ModelInfo) -> None:
    if config.method not in info.methods:
        raise UnknownMethod(f"model {info.name!r} has no method {config.method!r}; it has {', '.join(info.methods)}")
    if config.inversion not in info.inversions:
        raise UnknownMethod(
            f"model {info.name!r} has no inversion {config.inversion!r}; it has {', '.join(info.inversions)}",
            field="inversion",
        )


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


def _check_words(form: EditForm, regions: Sequence[Region], info: ModelInfo, backend: Backend) -> tuple[Region, ...]:
    """The regions with their words resolved, checked with the model's own tokenizer."""
    resolved = check_edit(
        backend.tokenizer(info),
        form.source_prompt,
        form.target_prompt,
        regions,
        max_tokens=info.max_prompt_tokens,
        vocabulary=info.vocabulary,
        needs_words=form.config.guided_steps > 0,
    )
    for field in ("equalizer", "cross_replace_words"):
        for word in getattr(form.config, field):
            find_word(form.target_prompt, word, field=field)
    return resolved


def _request(form: EditForm, info: ModelInfo, regions: tuple[Region, ...]) -> EditRequest:
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
            config=form.config,
        )
    except ValidationError as error:
        # Words that were found, not given, may be too many for one region.
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
        raise RequestValidationError(found) from error


def _pictures(form: EditForm, backend: Backend) -> tuple[Image.Image, list[Image.Image]]:
    """The image, and the masks as L with 0 or 255 (edit), all of one size."""
    settings = backend.settings
    limits = UploadLimits(
        max_bytes=settings.max_upload_bytes, max_pixels=settings.max_pixels, max_side=settings.max_side
    )
    image = read_image(form.image.file.read(), field="image", limits=limits)
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


def _accept(
    request: EditRequest, image: Image.Image, masks: Sequence[Image.Image], *, tenant: str, backend: Backend
) -> JobRecord:
    job = new_id()
    inputs = {image_key(tenant, job): image}
    inputs |= {mask_key(tenant, job, number): mask for number, mask in enumerate(masks)}
    image_name, *mask_names = inputs
    try:
        for key, picture in inputs.items():
            backend.store.put(key, to_png(picture), PNG)
        record = backend.records.create(
            JobRecord(id=job, tenant=tenant, request=request, image=image_name, masks=tuple(mask_names))
        )
    except (QueueFull, StoreUnavailable):
        # Not after QueueUnavailable: the record may be there and only the answer lost; it needs its inputs then.
        _discard(backend, tenant, job)
        raise
    try:
        backend.queue.enqueue(record)
    except Unavailable as error:
        # The record is durable and open: the reaper puts it in line. The caller has been promised nothing less.
        log.warning("not put in line yet", edit=job, reason=error.code)
    return record


def _discard(backend: Backend, tenant: str, job: str) -> None:
    """Remove the inputs of an edit that was not accepted, as far as storage answers."""
    try:
        backend.store.delete_prefix(job_prefix(tenant, job))
    except Unavailable:
        log.warning("inputs of a refused edit were left in storage", edit=job)
