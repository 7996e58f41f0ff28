"""Validation of a submitted edit, before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from PIL import Image

from jobs.models import ModelInfo
from jobs.schema import EditRequest, check_options
from jobs.settings import Settings
from magedit.edits.resolution import Limits, Resolution
from magedit.edits.resolve import resolve
from magedit.instructions.reading import ReadInstruction, read_by_rules
from magedit.masks.shapes import under
from magedit.prompts.alignment import Tokenize
from service.edits.chaining import SourceEdit
from service.edits.finders import instructed_shapes, require_finder
from service.edits.form import EditForm, invalid
from service.images.inputs import NO_MASKS, read_inputs


class Checked(NamedTuple):
    """A valid request, the image (RGB or RGBA), and the masks as L with 0 or 255 (edit; soft ones grey), None for a
    mask that a worker locates."""

    request: EditRequest
    image: Image.Image
    masks: list[Image.Image | None]


def limits_of(settings: Settings) -> Limits:
    """The limits of one edit, from the settings."""
    return Limits(results=settings.max_results, regions=settings.max_regions)


def resolved(
    form: EditForm,
    info: ModelInfo,
    tokenize: Tokenize,
    settings: Settings,
    *,
    masks: int,
    shows: str | None,
    read: ReadInstruction = read_by_rules,
) -> Resolution:
    """Resolve a form with this many masks for the model; ``shows`` and ``read`` as in `magedit.edits.resolve.resolve`.

    Raises:
        InvalidEdit: its options are incompatible.
    """
    asked = form.asked if form.adapt is None else form.adapt(form.asked, info)
    checkpoint, limits = info.as_checkpoint(tokenize), limits_of(settings)
    resolution = resolve(asked, checkpoint, masks=masks, limits=limits, shows=shows, read=read)
    check_options(form.options, resolution.configs)
    return resolution


def check(
    form: EditForm,
    info: ModelInfo,
    tokenize: Tokenize,
    settings: Settings,
    source: SourceEdit | None = None,
    found: Mapping[int, Image.Image] = NO_MASKS,
    read: ReadInstruction = read_by_rules,
) -> Checked:
    """Resolve a form for the model and read its pictures; ``source`` is the picture if it is not uploaded, ``found``
    the masks that are not uploaded, by region; ``read`` parses an instruction.

    Raises:
        MAGEditError, RequestError, RequestValidationError: the edit is refused.
    """
    shapes, shows = form.shapes, source.prompt if source is not None else None
    for number, shape in enumerate(shapes):
        if shape.to_find is not None:
            with under(f"mask_shapes.{number}"):
                shape.to_find.check_alone()
                require_finder(info, shape.to_find)
    edit = resolved(form, info, tokenize, settings, masks=len(shapes), shows=shows, read=read).edit()
    shapes = shapes or instructed_shapes(edit, info)
    find = tuple(shape if shape.to_find else None for shape in shapes)
    request = EditRequest(model=info.name, find=find if any(find) else (), **dict(edit), **dict(form.options))
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
        raise invalid(
            "size", f"the result always has the image's size, {own}, not {wanted}: leave it out, or send 'auto'"
        )
    return checked
