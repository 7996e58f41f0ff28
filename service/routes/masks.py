"""Routes of masks: find, get, list, cancel, delete."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from jobs import errors as job
from jobs.schema import State
from magedit import errors as edit
from service.deps import (
    WRITER,
    AnyOwnMask,
    Backend,
    OwnMask,
    OwnMaskToChange,
    Reader,
    UploadLimiterDep,
    WatchDep,
    Writer,
)
from service.edits.form import known_fields
from service.edits.idempotency import KeyedDep
from service.edits.multipart import FormRoute
from service.edits.representation import mask_view_of, mask_views_of
from service.edits.results import require_result
from service.etag import json_answer
from service.masks.form import MASK_FIELDS, MaskFormDep
from service.masks.submission import submit_mask
from service.masks.views import MASKS, Mask, MaskPage
from service.middleware.request_id import OriginDep
from service.openapi.responses import (
    ETAGGED,
    REDIS_AWAY,
    RETRY_AFTER,
    problems,
)
from service.routes.events import STREAM, stream
from service.routes.jobs import (
    LOOKED,
    STORE_AWAY,
    Cursor,
    Limit,
    accepted,
    accepted_headers,
    canceled,
    deleted,
    retry_headers,
    submission_problems,
)
from service.routes.results import PICTURE, Redirect, missing, require_not_failed, stored_file

NOT_FOUND = job.JobNotFound("there is no mask '0190...'")
_ACCEPTED = accepted_headers("mask")

router = APIRouter(prefix=MASKS, tags=["masks"], route_class=FormRoute)


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    summary="Find a mask",
    response_model=Mask,
    dependencies=[WRITER, Depends(known_fields(MASK_FIELDS))],
    responses={
        200: {
            "description": "Finished, in any final state, within the time of `Prefer: wait`.",
            "model": Mask,
            "headers": _ACCEPTED,
        },
        202: {
            "description": "Accepted: the mask is durable and queued ahead of all edits.",
            "headers": _ACCEPTED | {"Retry-After": RETRY_AFTER},
        },
        **submission_problems(
            "mask",
            "point",
            edit.PointOutside(
                "(700, 20) is outside the picture, whose pixels are (0, 0) to (639, 479)", field="points.0"
            ),
            edit.InvalidBox("the box from (700, 0) to (720, 9) is outside the picture, which is 640x480", field="box"),
            edit.NoFinder(
                "model 'sd14' cannot locate things by `points`: use `words`, or start its workers with a segmenter"
            ),
        ),
    },
)
async def create_mask(
    request: Request,
    form: MaskFormDep,
    caller: Writer,
    backend: Backend,
    watch: WatchDep,
    upload_limiter: UploadLimiterDep,
    keyed: KeyedDep,
    origin: OriginDep,
    _: Annotated[
        str | None,
        Header(
            alias="Prefer",
            description="`wait=5`: delay the response until the mask is found, for at most this many seconds.",
        ),
    ] = None,
) -> Response:
    """Find a mask from points, a box or words. A mask is a small job that runs before all edits of its model; a worker
    caches the picture, so that the next click in it takes a fraction of the first one's time."""
    submitted = await upload_limiter.run(submit_mask, form, caller=caller, backend=backend, origin=origin, keyed=keyed)
    return await accepted(request, submitted, backend, watch)


@router.get("", summary="List masks", response_model=MaskPage, responses={**ETAGGED, **problems(REDIS_AWAY)})
def list_masks(
    request: Request,
    caller: Reader,
    backend: Backend,
    state: Annotated[State | None, Query(description="Only masks in this state.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """Your masks, newest first. Pages neither skip nor repeat a mask while new ones arrive."""
    page = backend.records.list(caller.tenant, state, limit, cursor, "mask")
    return json_answer(request, MaskPage(masks=mask_views_of(page.records, backend), next_cursor=page.cursor))


@router.get(
    "/{mask_id}",
    summary="Get a mask",
    response_model=Mask,
    responses={**LOOKED, **problems(NOT_FOUND, REDIS_AWAY)},
)
def get_mask(request: Request, record: AnyOwnMask, backend: Backend) -> Response:
    """State and queue position; once finished, the candidates."""
    return json_answer(request, mask_view_of(record, backend), retry_headers(record))


@router.get(
    "/{mask_id}/candidates/{number}",
    summary="Fetch a candidate's picture",
    response_class=Response,
    responses={
        **PICTURE,
        200: {
            "description": "The mask: PNG of the picture's size, white where it is.",
            "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
            "headers": {"ETag": PICTURE[200]["headers"]["ETag"]},
        },
        **missing("mask", "mask 0190... has 3 candidate(s), counted from 0"),
    },
)
def get_candidate(
    request: Request,
    record: OwnMask,
    backend: Backend,
    number: Annotated[int, Path(ge=0, le=1000, description="Position in `candidates`, from 0.")],
    redirect: Redirect = None,
) -> Response:
    """One of the found masks, by its position in `candidates`."""
    require_not_failed(record)
    stored = require_result(record, number, backend, field="number")
    return stored_file(request, record, stored, backend, redirect=redirect)


@router.get(
    "/{mask_id}/events",
    summary="Follow a mask",
    description="Follow a mask like an edit (`GET /v1/edits/{id}/events`): events `state` and `deleted`.",
    response_class=Response,
    responses={**STREAM, **problems(NOT_FOUND, REDIS_AWAY)},
)
async def get_mask_events(
    request: Request,
    record: AnyOwnMask,
    watch: WatchDep,
    last_event_id: Annotated[str | None, Header(description="Id of the last received event.")] = None,
) -> Response:
    """Stream the changes of a mask."""
    return stream(request, record, watch, last_event_id, None)


@router.put(
    "/{mask_id}/cancel",
    status_code=HTTPStatus.ACCEPTED,
    summary="Cancel a mask",
    response_model=Mask,
    responses={
        200: {"model": Mask, "description": "It is already canceled."},
        202: {"description": "It will stop: at once if it is queued."},
        **problems(
            NOT_FOUND, job.AlreadyFinished("mask 0190... has succeeded: it can no longer be canceled"), REDIS_AWAY
        ),
    },
)
def cancel_mask(record: OwnMaskToChange, backend: Backend) -> Response:
    """Cancel this mask. The call can be repeated."""
    return canceled(record, backend)


@router.delete(
    "/{mask_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Delete a mask",
    response_class=Response,
    responses={
        204: {"description": "The mask, its picture and its candidates are deleted."},
        **problems(NOT_FOUND, REDIS_AWAY, STORE_AWAY),
    },
)
def delete_mask(record: OwnMaskToChange, backend: Backend) -> Response:
    """Cancel the mask if it is not finished, then remove its record and every picture of it. Edits made with it are
    kept."""
    return deleted(record, backend)
