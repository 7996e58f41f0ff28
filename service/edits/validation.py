"""Validation of a submitted edit, before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from PIL import Image

from jobs.schema import EditRequest, ModelInfo, check_options
from jobs.settings import Settings
from magedit.edits.resolve import Limits, Resolution, resolve
from magedit.prompts.alignment import Tokenize
from service.edits.chaining import SourceEdit
from service.edits.form import EditForm, invalid
from service.images.inputs import NO_MASKS, read_inputs


class Checked(NamedTuple):
    """A valid request, the image (RGB or RGBA), and the masks as L with 0 or 255 (edit; soft ones grey)."""

    request: EditRequest
    image: Image.Image
    masks: list[Image.Image]


def limits_of(settings: Settings) -> Limits:
    """The limits of one edit, from the settings."""
    return Limits(results=settings.max_results, regions=settings.max_regions)


def resolved(
    form: EditForm, info: ModelInfo, tokenize: Tokenize, settings: Settings, *, masks: int, shows: str | None
) -> Resolution:
    """What a form with so many masks comes to on the model; ``shows`` as `magedit.edits.resolve.resolve` takes it.

    Raises:
        InvalidEdit: its options do not go together.
    """
    check_options(form.options)
    asked = form.asked if form.adapt is None else form.adapt(form.asked, info)
    return resolve(asked, info.as_checkpoint(tokenize), masks=masks, limits=limits_of(settings), shows=shows)


def check(
    form: EditForm,
    info: ModelInfo,
    tokenize: Tokenize,
    settings: Settings,
    source: SourceEdit | None = None,
    found: Mapping[int, Image.Image] = NO_MASKS,
) -> Checked:
    """Resolve a form for the model and read its pictures; ``source`` is the picture if it is not uploaded, ``found``
    are the masks that are not, by region.

    Raises:
        MAGEditError, RequestError, RequestValidationError: the edit is refused.
    """
    shapes, shows = form.shapes, source.prompt if source is not None else None
    resolution = resolved(form, info, tokenize, settings, masks=len(shapes), shows=shows)
    request = EditRequest(model=info.name, **dict(resolution.edit()), **dict(form.options))
    if source is not None:
        image: bytes | Image.Image = source.image
    elif form.image is not None:
        image = form.image.file.read()
    else:
        raise invalid("image", "give a picture as `image`, or as `source_edit` the id of an edit whose result it is")
    masks, softness = [mask.file.read() for mask in form.mask], request.config.mask_softness
    checked = Checked(
        request, *read_inputs(image, masks, form.mask_mode, settings, shapes=shapes, found=found, softness=softness)
    )
    if form.size is not None and form.size != checked.image.size:
        own, wanted = ("x".join(map(str, each)) for each in (checked.image.size, form.size))
        raise invalid("size", f"the result has the image's own size, {own}, not {wanted}: leave it out, or send 'auto'")
    return checked
