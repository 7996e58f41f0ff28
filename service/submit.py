"""A new edit: check everything, keep the inputs, write the record, put it in line. In that order nothing is lost.

Whatever is refused is refused before anything is stored. Whatever is recorded is carried out: if putting it in line
fails, the reaper finds the open record and does it.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from PIL import Image

from jobs.errors import QueueFull, StoreUnavailable, Unavailable
from jobs.schema import EditRequest, JobRecord, new_id
from jobs.storage import image_key, job_prefix, mask_key
from service.backend import Backend
from service.check import check
from service.form import EditForm
from service.uploads import to_png

log = structlog.get_logger(__name__)

PNG = "image/png"


def submit(form: EditForm, *, tenant: str, backend: Backend) -> JobRecord:
    """Accept an edit; its record is durable when this returns.

    Raises:
        MAGEditError, RequestError, RequestValidationError: the edit is refused; nothing was stored.
        UnknownModel, Unavailable: not now or not here; nothing was stored.
    """
    info = backend.models.require(form.model or backend.settings.default_model).info
    request, image, masks = check(form, info, backend.tokenizer(info), backend.settings)
    return _accept(request, image, masks, tenant=tenant, backend=backend)


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
