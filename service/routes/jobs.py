"""Shared parts of the routes of edits and masks: creating, getting, canceling and deleting."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response
from starlette.concurrency import run_in_threadpool

from jobs import errors as job
from jobs.schema import AnyRecord, State
from jobs.storage import job_prefix
from service.backend import Backend
from service.edits.idempotency import REPLAYED
from service.edits.prefer_wait import await_end, preferred_wait
from service.edits.representation import any_view_of, unplaced_view
from service.edits.submission import Submitted
from service.edits.views import Edit
from service.edits.watcher import Watch
from service.masks.views import Mask
from service.openapi.responses import RETRY_AFTER

POLL_RUNNING_S: Final = 1
POLL_QUEUED_S: Final = 2
PAGE_MAX: Final = 100

STORE_AWAY = job.StoreUnavailable("object storage cannot be reached; try again in a moment")

Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Items per page.")]
Cursor = Annotated[
    str | None,
    Query(pattern=r"^[0-9a-f]{32}$", description="`next_cursor` of the previous page; empty: the first page."),
]

LOOKED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "headers": {
            "ETag": {"description": "Changes with the response.", "schema": {"type": "string"}},
            "Retry-After": RETRY_AFTER | {"description": "Seconds to wait before the next poll; absent once finished."},
        },
    },
    304: {"description": "Unchanged since the `If-None-Match` tag."},
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
