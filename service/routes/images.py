"""`POST /v1/images/edits`: an edit in the shape of OpenAI's images API."""

from __future__ import annotations

import time
from typing import Any

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.sse import EventSourceResponse
from starlette.concurrency import run_in_threadpool

from jobs import errors as job
from jobs.schema import JobRecord, Problem
from magedit import errors as edit
from service import errors as refused
from service.backend import Backend as BackendType
from service.deps import WRITER, Backend, UploadLimiterDep, WatchDep, Writer
from service.edits.form import invalid
from service.edits.idempotency import REPLAYED, KeyedDep
from service.edits.prefer_wait import await_end
from service.edits.submission import submit
from service.edits.views import path
from service.middleware.bearer_auth import Caller
from service.middleware.request_id import OriginDep
from service.openai.answers import Images, events, images_of, problem_of_end
from service.openai.envelope import SHOULD_RETRY, Envelope, envelope_of
from service.openai.finding import MASK_ID, found_before, submit_search, with_found
from service.openai.form import PATH, BracketRoute, ImagesForm, ImagesFormDep, require_known_images_fields
from service.openapi.responses import CHALLENGE, FOREIGN_HOST, RATE_LIMITED, REDIS_AWAY, RETRY_AFTER, TOO_SLOW
from service.problems.mapping import Known, framework_problem, problem_of
from service.problems.responses import problem_response

EDIT_ID = "Edit-Id"
"""Header with the id of the underlying edit, for `/v1/edits/{id}`."""

DESCRIPTION = """\
The call of OpenAI's clients (`client.images.edit`), backed by the same durable edits as `POST /v1/edits`: the response
is sent when the edit is finished, or streamed. Keys, rates, quotas, `Idempotency-Key` and all fields of `POST
/v1/edits` apply. After a disconnect, fetch the edit by the id in the header `Edit-Id`, or repeat the call with the same
`Idempotency-Key`. Only the area of the mask is edited. Without a mask, the thing that the prompts change is located
first, by a mask of `POST /v1/masks` named in the header `Mask-Id`. Errors have OpenAI's shape; `x-should-retry` says
whether to repeat the same request later.
"""

log = structlog.get_logger(__name__)

_ERRORS: dict[int, tuple[str, Known | Problem]] = {
    400: (
        "The request cannot be carried out as sent, or the edit failed.",
        edit.WordNotFound("'purple' is not a whole word of the target prompt 'a red carpet'"),
    ),
    401: ("An API key is needed, or the one sent is not valid.", refused.NoKey()),
    403: ("The API key may not do this.", refused.ScopeMissing("edits:write")),
    404: (
        "No such model, or no such source edit.",
        job.UnknownModel("there is no model 'gpt-image-2'; known are: demo"),
    ),
    408: ("The request body arrived too slowly.", TOO_SLOW),
    409: ("The same request, or the source edit, is still in progress.", job.KeyInUse()),
    410: (
        "The edit of this `Idempotency-Key`, or its pictures, no longer exist.",
        job.JobExpired("the edit of this Idempotency-Key, 0190..., has expired or was deleted"),
    ),
    413: (
        "The upload is too large.",
        refused.UploadTooLarge("`image` has 30000000 bytes; at most 20971520 are accepted.", field="image"),
    ),
    415: (
        "Not a multipart form, or not a PNG, JPEG or WebP picture.",
        refused.UnsupportedBody("the body is application/json; send it as multipart/form-data"),
    ),
    421: ("The request is for another host's name.", FOREIGN_HOST),
    429: ("Too many requests, too many unfinished edits, or the quota is used up.", RATE_LIMITED),
    500: ("A fault of the service or of the model.", framework_problem(500)),
    503: ("Redis, storage or a worker is away, or the queue is full.", REDIS_AWAY),
    504: (
        "The edit did not finish within `MAGEDIT_IMAGES_WAIT_S`; it keeps running.",
        refused.NotFinishedInTime("edit 0190... is still running: its result will be at ..."),
    ),
}
_RETRIES = {SHOULD_RETRY: {"description": "`true` or `false`.", "schema": {"type": "string"}}}


def _error(status: int, description: str, example: Known | Problem) -> dict[str, Any]:
    headers: dict[str, Any] = dict(_RETRIES)
    if status in {409, 429, 503}:
        headers["Retry-After"] = RETRY_AFTER
    if status in {401, 403}:
        headers["WWW-Authenticate"] = CHALLENGE
    problem = example if isinstance(example, Problem) else problem_of(example)
    shown = {problem.code: {"value": envelope_of(problem).model_dump(mode="json")}}
    return {
        "description": description,
        "model": Envelope,
        "headers": headers,
        "content": {"application/json": {"examples": shown}},
    }


router = APIRouter(prefix=PATH.rpartition("/")[0], tags=["images"], route_class=BracketRoute)


@router.post(
    "/edits",
    summary="Edit, in OpenAI's shape",
    description=DESCRIPTION,
    response_model=Images,
    dependencies=[WRITER, Depends(require_known_images_fields)],
    responses={
        200: {
            "description": "The results; with `stream=true` events `image_edit.partial_image` and "
            "`image_edit.completed`, or `error`.",
            "content": {EventSourceResponse.media_type: {"schema": {"type": "string"}}},
            "headers": {
                EDIT_ID: {"description": "The edit beneath.", "schema": {"type": "string"}},
                "Location": {"description": "Its path.", "schema": {"type": "string"}},
                MASK_ID: {"description": "The id of the located mask, if none was sent.", "schema": {"type": "string"}},
            },
        },
        **{status: _error(status, *told) for status, told in _ERRORS.items()},
    },
)
async def edit_image(
    request: Request,
    asked: ImagesFormDep,
    caller: Writer,
    backend: Backend,
    watch: WatchDep,
    upload_limiter: UploadLimiterDep,
    keyed: KeyedDep,
    origin: OriginDep,
) -> Response:
    """Submit an edit, wait for it, and respond with its results."""
    _require_open_addresses(asked, caller, backend)
    give_up_at = time.monotonic() + backend.settings.images_wait_s
    form, headers = asked.edit, dict[str, str]()
    # An instruction locates the edit itself, as in `POST /v1/edits`.
    is_missing = not form.has_mask and form.asked.instruction is None
    before = await upload_limiter.run(found_before, keyed, caller, backend) if is_missing and keyed else None
    if before is not None and before.is_edit:
        # It stands by itself: the mask may have expired before it.
        headers |= {MASK_ID: before.mask_id} if before.mask_id else {}
    elif is_missing:
        mask, _ = await upload_limiter.run(
            submit_search, form, caller=caller, backend=backend, origin=origin, keyed=keyed
        )
        await await_end(request, watch, mask.id, give_up_at - time.monotonic())
        headers[MASK_ID] = mask.id
        found = await run_in_threadpool(with_found, form, mask.id, caller, backend)
        if isinstance(found, Problem):
            return problem_response(found, headers)
        form = found
    record, replayed = await upload_limiter.run(
        submit, form, caller=caller, backend=backend, origin=origin, keyed=keyed
    )
    if asked.user is not None:
        log.info("edit of a user", job=record.id, user=asked.user)
    headers |= {EDIT_ID: record.id, "Location": path(record)}
    if replayed:
        headers[REPLAYED] = "true"
    if asked.stream and isinstance(record, JobRecord):
        headers |= {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
        return EventSourceResponse(events(record, asked, backend, watch), headers=headers)
    await await_end(request, watch, record.id, max(0.0, give_up_at - time.monotonic()))
    return await run_in_threadpool(_answer, record.id, caller, asked, backend, str(request.base_url), headers)


def _require_open_addresses(asked: ImagesForm, caller: Caller, backend: BackendType) -> None:
    """Reject `url` if the addresses would need the caller's key."""
    if asked.response_format != "url" or backend.settings.auth == "off":
        return
    if backend.store.signed_url(f"{caller.tenant}/-", 1.0) is None:
        raise invalid(
            "response_format",
            "this service has no addresses that open without a key (S3 storage provides them): use 'b64_json'",
        )


def _answer(
    edit_id: str, caller: Caller, asked: ImagesForm, backend: BackendType, base_url: str, headers: dict[str, str]
) -> Response:
    record = backend.records.require(edit_id, caller.tenant)
    if not record.state.is_terminal:
        raise refused.NotFinishedInTime(
            f"edit {record.id} is still {record.state}: its result will be at {path(record)}/result",
            headers=headers,
        )
    problem = problem_of_end(record, backend)
    if problem is not None:
        return problem_response(problem, headers)
    body = images_of(record, asked, backend, base_url).model_dump_json(exclude_none=True)
    return Response(body, media_type="application/json", headers=headers)
