"""Routes of edits: submit, get, list, cancel, delete."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from jobs import errors as job
from jobs.schema import State
from magedit import errors as edit
from service.deps import WRITER, Backend, EditId, OwnEditToChange, Reader, UploadLimiterDep, WatchDep, Writer
from service.edits.form import EditFormDep, require_known_fields
from service.edits.idempotency import KeyedDep
from service.edits.multipart import FormRoute
from service.edits.representation import view_of, views_of
from service.edits.submission import submit
from service.edits.views import EDITS, Edit, EditPage
from service.etag import json_answer
from service.middleware.request_id import OriginDep
from service.openapi.responses import (
    ETAGGED,
    QUEUED,
    REDIS_AWAY,
    RETRY_AFTER,
    SUCCEEDED,
    example,
    problems,
)
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

NOT_FOUND = job.JobNotFound("there is no edit '0190...'")
ACCEPTED = accepted_headers("edit")

router = APIRouter(prefix=EDITS, tags=["edits"], route_class=FormRoute)


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    summary="Submit an edit",
    response_model=Edit,
    dependencies=[WRITER, Depends(require_known_fields)],
    responses={
        200: {
            "description": "Finished, in any final state, within the time of `Prefer: wait`.",
            "model": Edit,
            "content": example(SUCCEEDED),
            "headers": ACCEPTED,
        },
        202: {
            "description": "Accepted: the edit is durable and queued.",
            "content": example(QUEUED),
            "headers": ACCEPTED | {"Retry-After": RETRY_AFTER},
        },
        **submission_problems(
            "edit",
            "promt",
            edit.MaskMismatch("mask is 400x300, image is 640x480: they must have the same size"),
            edit.EmptyMask(
                "the mask selects no pixel: its luminance is 0 to 76 (of 255), and 128 or more counts as selected. "
                "Paint white what to edit"
            ),
            edit.WordNotFound(
                "'purple' is not a whole word of the target prompt 'a red carpet'", values={"word": "purple"}
            ),
            edit.PromptTooLong(
                "target_prompt has 77 tokens, the model accepts 75. The words 'a lamp' exceed the limit: shorten the "
                "prompt accordingly",
                values={"tokens": 77, "max_tokens": 75},
            ),
            edit.PromptNotSupported(
                "target_prompt has words that this model does not know: zeppelin",
                values={"unknown_words": ["zeppelin"]},
            ),
            edit.RegionMismatch("2 masks need `regions`: a JSON array with one object of words per mask"),
            edit.UnknownMethod("model 'demo' has no method 'p2p'; it has mag-edit"),
            edit.NotTogether("injection 'pnp' without guidance is method 'pnp': use that", field="injection"),
            edit.NothingToGuide("the target prompt adds no word to the source prompt and no edit words are given"),
        ),
    },
)
async def create_edit(
    request: Request,
    form: EditFormDep,
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
            description="`wait=20`: delay the response until the edit is finished, for at most this many seconds.",
        ),
    ] = None,
) -> Response:
    """Validate, store and enqueue an edit. Nothing of a rejected request is kept."""
    submitted = await upload_limiter.run(submit, form, caller=caller, backend=backend, origin=origin, keyed=keyed)
    return await accepted(request, submitted, backend, watch)


@router.get("", summary="List edits", response_model=EditPage, responses={**ETAGGED, **problems(REDIS_AWAY)})
def list_edits(
    request: Request,
    caller: Reader,
    backend: Backend,
    state: Annotated[State | None, Query(description="Only edits in this state.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """Your edits, newest first. Pages neither skip nor repeat an edit while new ones arrive."""
    page = backend.records.list(caller.tenant, state, limit, cursor)
    return json_answer(request, EditPage(edits=views_of(page.records, backend), next_cursor=page.cursor))


@router.get(
    "/{edit_id}",
    summary="Get an edit",
    response_model=Edit,
    responses={
        **LOOKED,
        200: LOOKED[200] | {"content": example(SUCCEEDED)},
        **problems(NOT_FOUND, REDIS_AWAY),
    },
)
def get_edit(request: Request, edit_id: EditId, caller: Reader, backend: Backend) -> Response:
    """State, progress, queue position and estimate; once finished, measures and results."""
    # Without `OwnEdit`, which takes another thread: this is the most frequent request.
    record = backend.records.look(edit_id, caller.tenant)
    return json_answer(request, view_of(record, backend), retry_headers(record))


@router.put(
    "/{edit_id}/cancel",
    status_code=HTTPStatus.ACCEPTED,
    summary="Cancel an edit",
    response_model=Edit,
    responses={
        200: {"model": Edit, "description": "It is already canceled."},
        202: {"description": "It will stop: at once if it is queued, otherwise before its next step."},
        **problems(
            NOT_FOUND,
            job.AlreadyFinished("edit 0190... has succeeded: it can no longer be canceled"),
            REDIS_AWAY,
        ),
    },
)
def cancel_edit(record: OwnEditToChange, backend: Backend) -> Response:
    """Cancel this edit. The call can be repeated."""
    return canceled(record, backend)


@router.delete(
    "/{edit_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Delete an edit",
    response_class=Response,
    responses={
        204: {"description": "The edit, its inputs and its results are deleted."},
        **problems(NOT_FOUND, REDIS_AWAY, STORE_AWAY),
    },
)
def delete_edit(record: OwnEditToChange, backend: Backend) -> Response:
    """Cancel the edit if it is not finished, then remove its record and every picture of it."""
    return deleted(record, backend)
