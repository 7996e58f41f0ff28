"""The result of a finished edit as the input of the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol, TypedDict

from fastapi import UploadFile
from PIL import Image

from jobs.schema import JobRecord
from magedit.masks.shapes import MaskShape
from service.backend import Backend
from service.edits.form import invalid
from service.edits.results import require_result
from service.images.uploads import UploadLimits, read_image


class HasSource(Protocol):
    """A form with a picture, or with an edit whose result is the picture."""

    @property
    def image(self) -> UploadFile | None: ...
    @property
    def source_edit(self) -> str | None: ...
    @property
    def source_result(self) -> int: ...


class Lineage(TypedDict, total=False):
    """The fields of a record that name the source of its picture."""

    source_edit: str
    source_result: int
    ancestors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SourceEdit:
    """Result ``number`` of ``edit``, decoded: RGB or RGBA."""

    edit: JobRecord
    number: int
    image: Image.Image

    @property
    def prompt(self) -> str:
        """The prompt of the picture."""
        return self.edit.request.target_prompt

    @property
    def lineage(self) -> Lineage:
        """The lineage for the new record."""
        return Lineage(
            source_edit=self.edit.id, source_result=self.number, ancestors=(*self.edit.ancestors, self.edit.id)
        )


def find_source(form: HasSource, tenant: str, backend: Backend) -> SourceEdit | None:
    """The picture of `source_edit`; None if the form has its own.

    The new edit gets a copy and does not depend on the source afterwards.

    Raises:
        RequestValidationError: an image is sent too.
        JobNotFound, JobNotReady, JobNotSucceeded, JobExpired, NoSuchFile, ObjectNotFound: there is no such result.
    """
    if form.source_edit is None:
        if form.source_result:
            raise invalid("source_result", "it is a result of `source_edit`, which was not sent")
        return None
    if form.image is not None:
        raise invalid("source_edit", "give `image` or `source_edit`, not both")
    record = backend.records.require(form.source_edit, tenant)
    called = f"source_edit {record.id}"
    stored = require_result(record, form.source_result, backend, field="source_result", called=called)
    data = backend.store.get(stored.key)
    settings = backend.settings
    # Written by a worker, not uploaded: its bytes are not counted.
    limits = UploadLimits(max_bytes=len(data), max_pixels=settings.max_pixels, max_side=settings.max_side)
    image = read_image(data, field="source_edit", limits=limits)
    return SourceEdit(edit=record, number=form.source_result, image=image)


def find_masks(shapes: Sequence[MaskShape], tenant: str, backend: Backend) -> dict[int, Image.Image]:
    """The masks (L, 0/255) that shapes name by `mask_id`, by their place in ``shapes``.

    Raises:
        JobNotFound, JobNotReady, JobNotSucceeded, JobExpired, NoSuchFile, ObjectNotFound: there is no such candidate.
    """
    pictures: dict[tuple[str, int], Image.Image] = {}
    found = {}
    for number, shape in enumerate(shapes):
        if shape.mask_id is None:
            continue
        # Each is read once, for any number of shapes.
        named = shape.mask_id, shape.candidate
        if named not in pictures:
            record = backend.records.require_mask(shape.mask_id, tenant)
            field = f"mask_shapes.{number}.candidate"
            stored = require_result(record, shape.candidate, backend, field=field)
            with Image.open(BytesIO(backend.store.get(stored.key)), formats=("PNG",)) as picture:
                pictures[named] = picture.convert("L")
        found[number] = pictures[named]
    return found
