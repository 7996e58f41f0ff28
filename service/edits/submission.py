"""Submission of an edit: validate, store the inputs, write the record, enqueue.

In this order a crash at any point loses no accepted edit.

Requests are rejected before anything is stored. Every recorded edit runs: if enqueuing fails, the reaper finds the open
record and enqueues it. `Idempotency-Key`: see `jobs.records.idempotency`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import structlog
from PIL import Image

from jobs.errors import JobError, QueueUnavailable, Unavailable
from jobs.records.idempotency import Reservation
from jobs.schema import AnyRecord, JobKind, JobRecord, new_id
from jobs.storage import image_key, job_prefix, mask_key
from jobs.webhooks.message import check_url
from service.backend import Backend
from service.edits.chaining import Lineage, find_masks, find_source
from service.edits.form import EditForm
from service.edits.idempotency import Keyed
from service.edits.validation import check, limits_of
from service.images.png import write_png
from service.middleware.bearer_auth import Caller
from service.middleware.request_id import Origin

log = structlog.get_logger(__name__)

PNG = "image/png"


class Submitted(NamedTuple):
    """An accepted edit; ``replayed``: an earlier request with the same `Idempotency-Key` made it."""

    record: AnyRecord
    replayed: bool = False


def submit(
    form: EditForm, *, caller: Caller, backend: Backend, origin: Origin, keyed: Keyed | None = None
) -> Submitted:
    """Accept an edit; its record is durable when this returns.

    Raises:
        MAGEditError, RequestError, RequestValidationError: the edit is refused; nothing was stored.
        JobError: a limit, an outage, a missing model or a reused key prevents it; nothing was stored.
    """

    def make(job: str, reservation: Reservation | None) -> JobRecord:
        if form.webhook_url is not None:
            check_url(form.webhook_url, private=backend.settings.webhook_private)
        # Before pictures are decoded, which costs far more than refusing.
        backend.room.require(caller.tenant, caller.limits)
        info = backend.models.require(form.model, backend.settings).info
        tenant = caller.tenant
        # Before any picture is fetched.
        limits_of(backend.settings).check_regions(len(form.shapes))
        source = find_source(form, tenant, backend)
        found = find_masks(form.shapes, tenant, backend)
        checked = check(form, info, backend.tokenizer(info), backend.settings, source, found, backend.read_instruction)
        request, image, masks = checked
        inputs = {image_key(tenant, job): image}
        inputs |= {mask_key(tenant, job, number): mask for number, mask in enumerate(masks) if mask is not None}
        image_name, *mask_names = inputs
        lineage = source.lineage if source else Lineage()
        record = JobRecord(
            id=job,
            tenant=tenant,
            request=request,
            image=image_name,
            masks=tuple(mask_names),
            webhook_url=form.webhook_url,
            request_id=origin.request_id,
            traceparent=origin.traceparent,
            **lineage,
        )
        return accept(record, inputs, caller=caller, backend=backend, reservation=reservation)

    return submit_once(make, kind="edit", caller=caller, backend=backend, keyed=keyed)


def submit_once(
    make: Callable[[str, Reservation | None], JobRecord],
    *,
    kind: JobKind,
    caller: Caller,
    backend: Backend,
    keyed: Keyed | None,
) -> Submitted:
    """The result of ``make`` for a new id, once for each `Idempotency-Key`. Raises as ``make`` and
    `jobs.records.idempotency`."""
    job = new_id()
    if keyed is None:
        return Submitted(make(job, None))
    found = backend.idempotency.reserve(caller.tenant, keyed.value, keyed.fingerprint(kind), job)
    if isinstance(found, str):
        return Submitted(backend.records.bound(found, caller.tenant, kind), replayed=True)
    try:
        record = make(job, found)
    except QueueUnavailable:
        # The record may exist and only the response be lost: others wait until the reservation expires.
        raise
    except Exception:
        _release(backend, found)
        raise
    return Submitted(record, replayed=record.id != job)


def accept(
    record: JobRecord,
    inputs: Mapping[str, Image.Image],
    *,
    caller: Caller,
    backend: Backend,
    reservation: Reservation | None,
) -> JobRecord:
    """Store the inputs, then the record, then enqueue it; returns the stored record.

    Raises:
        JobError: it is not accepted; nothing is left in storage.
    """
    job, tenant = record.id, record.tenant
    try:
        for key, picture in inputs.items():
            backend.store.put(key, write_png(picture), PNG)
        record = backend.records.create(record, limits=caller.limits, reservation=reservation)
    except QueueUnavailable:
        # The record may exist and only the response be lost; then it needs its inputs.
        raise
    except JobError:
        _discard(backend, tenant, job)
        raise
    if record.id != job:
        # A retry of this request was faster.
        _discard(backend, tenant, job)
        return record
    try:
        backend.queue.enqueue(record)
    except Unavailable as error:
        # The record is durable and open: the reaper enqueues it.
        log.warning("not put in line yet", job=job, reason=error.code)
    log.info(f"{record.kind} accepted", job=job, tenant=tenant, model=record.model)
    return record


def _release(backend: Backend, reservation: Reservation) -> None:
    """Free the key of a refused request, if Redis answers."""
    try:
        backend.idempotency.release(reservation)
    except QueueUnavailable:
        log.warning("the Idempotency-Key of a refused edit stays reserved for a while", job=reservation.id)


def _discard(backend: Backend, tenant: str, job: str) -> None:
    """Remove the inputs of an edit that was not accepted, if storage answers."""
    try:
        backend.store.delete_prefix(job_prefix(tenant, job))
    except Unavailable:
        log.warning("inputs of a refused edit were left in storage", job=job)
