"""Shared parts of the routes of edits and masks: creating, getting, canceling and deleting."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response
from starlette.concurrency import run_in_threadpool

from jobs import errors as job
from jobs.schema import AnyRecord, State
from jobs.storage import job_prefix
from magedit import errors as edit
from service import errors as refused
from service.backend import Backend
from service.edits.idempotency import HEADER as IDEMPOTENCY_KEY
from service.edits.idempotency import REPLAYED
from service.edits.prefer_wait import await_end, preferred_wait
from service.edits.representation import any_view_of, unplaced_view
from service.edits.submission import Submitted
from service.edits.views import Edit
from service.edits.watcher import Watch
from service.masks.views import Mask
from service.openapi.responses import (
    ETAGGED,
    INVALID,
    MALFORMED,
    RATE_LIMITED,
    REDIS_AWAY,
    RETRY_AFTER,
    TOO_SLOW,
    problems,
)

POLL_RUNNING_S: Final = 1
POLL_QUEUED_S: Final = 2
PAGE_MAX: Final = 100

STORE_AWAY = job.StoreUnavailable("object storage cannot be reached; try again in a moment")

Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Items per page.")]
Cursor = Annotated[
    str | None,
    Query(pattern=r"^[0-9a-f]{32}$", description="`next_cursor` of the previous page; empty: the first page."),
]

LOOKED: Final[dict[int | str, dict[str, Any]]] = ETAGGED | {
    200: {
        "headers": ETAGGED[200]["headers"]
        | {"Retry-After": RETRY_AFTER | {"description": "Seconds to wait before the next poll; absent once finished."}},
    },
}
"""The responses of getting one."""


def accepted_headers(what: str) -> dict[str, Any]:
    """The headers of the response to a new edit or mask (``what``)."""
    return {
        "Location": {"description": f"The {what}.", "schema": {"type": "string"}},
        REPLAYED: {
            "description": f"`true`: an earlier request with this `Idempotency-Key` created the {what}.",
            "schema": {"type": "string"},
        },
        "Preference-Applied": {"description": "The granted wait.", "schema": {"type": "string"}},
    }


def submission_problems(what: str, typo: str, *own: edit.MAGEditError) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that submits an edit or a mask (``what``): its ``own`` problems and those of every
    form, with ``typo`` for the example of an unknown field."""
    return problems(
        MALFORMED,
        TOO_SLOW,
        INVALID,
        *own,
        job.WebhookRefused("'http://example.com/hook' is not an https:// address"),
        job.UnknownModel("there is no model 'sd9'; known are: demo"),
        refused.UnreadableImage("`image` is damaged or truncated: it cannot be decoded.", field="image"),
        refused.ImageTooCostly("`image` has more than 50 JPEG scans. Save it again.", field="image"),
        refused.UnknownField(f"there is no field {typo!r}; there are: ...", field=typo),
        refused.UploadTooLarge("`image` has 30000000 bytes; at most 20971520 are accepted.", field="image"),
        refused.ImageTooLarge("`image` is 13000x13000; at most 25000000 pixels are accepted.", field="image"),
        refused.UnsupportedImageType("`image` is not a PNG, JPEG or WebP picture.", field="image"),
        refused.UnsupportedBody("the body is application/json; send it as multipart/form-data"),
        refused.MalformedForm("the form ends without its closing boundary '--X--': it was truncated in transit ..."),
        refused.InvalidIdempotencyKey("there are 2 Idempotency-Key headers; send one", field=IDEMPOTENCY_KEY),
        job.KeyInUse(),
        job.KeyReused(),
        job.JobNotFound("there is no edit '0190...'"),
        refused.NoSuchFile("source_edit 0190... has 1 result(s), counted from 0", field="source_result"),
        job.JobNotReady("source_edit 0190... is running: wait until it has succeeded"),
        job.JobNotSucceeded("source_edit 0190... is canceled: it has no result to edit"),
        job.ObjectNotFound("storage has no such object"),
        job.JobExpired(f"the {what} of this Idempotency-Key, 0190..., has expired or was deleted"),
        RATE_LIMITED,
        job.TooManyUnfinished("a tenant may have 200 unfinished edits; try again later"),
        job.QuotaExhausted("a tenant may use 100000 UNet passes a month, and they are used"),
        job.QueueFull("1000 edits are unfinished, which is this service's limit; try again later"),
        job.NoWorkerForModel("no worker serves the model 'demo' at present; try again later"),
        refused.Busy("4 uploads are being processed, which is the limit, and none finished within 30 s"),
        REDIS_AWAY,
        STORE_AWAY,
    )


async def accepted(request: Request, submitted: Submitted, backend: Backend, watch: Watch) -> Response:
    """The response to a new one, after the caller's preferred wait."""
    record, replayed = submitted
    wait_s = min(preferred_wait(request.headers.getlist("Prefer")) or 0, backend.settings.max_wait_s)
    if wait_s:
        await await_end(request, watch, record.id, wait_s)
    record, view = await run_in_threadpool(_looked_at, record, backend, waited=wait_s > 0)
    headers = {"Location": view.links.self} | retry_headers(record)
    if replayed:
        headers[REPLAYED] = "true"
    if wait_s:
        headers["Preference-Applied"] = f"wait={wait_s}"
    status = HTTPStatus.OK if wait_s and record.state.is_terminal else HTTPStatus.ACCEPTED
    return Response(view.model_dump_json(), status_code=status, media_type="application/json", headers=headers)


def _looked_at(record: AnyRecord, backend: Backend, *, waited: bool) -> tuple[AnyRecord, Edit | Mask]:
    """The accepted record, read again if the caller ``waited``, and its view."""
    try:
        if waited:
            record = backend.records.look(record.id, record.tenant, record.kind)
        return record, any_view_of(record, backend)
    except job.QueueUnavailable:
        # It is accepted even if Redis has failed since: an error would make the caller send it again.
        return record, unplaced_view(record)


def canceled(record: AnyRecord, backend: Backend) -> Response:
    """Request its cancellation; returns the response. Raises AlreadyFinished."""
    requested = backend.records.request_cancel(record.id)
    if record.state is State.QUEUED:
        backend.queue.remove(record)
    status = HTTPStatus.ACCEPTED if requested else HTTPStatus.OK
    after = backend.records.look(record.id, record.tenant, record.kind)
    body = any_view_of(after, backend).model_dump_json()
    return Response(body, status_code=status, media_type="application/json", headers=retry_headers(after))


def deleted(record: AnyRecord, backend: Backend) -> Response:
    """Delete it with all its pictures; returns the response."""
    backend.queue.remove(record)
    # Pictures first: with the record deleted and storage down, they would be orphaned.
    backend.store.delete_prefix(job_prefix(record.tenant, record.id))
    backend.records.delete(record.id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


def retry_headers(record: AnyRecord) -> dict[str, str]:
    """When to poll an unfinished one again."""
    if record.state.is_terminal:
        return {}
    return {"Retry-After": str(POLL_RUNNING_S if record.state is State.RUNNING else POLL_QUEUED_S)}
