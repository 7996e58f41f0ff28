"""OpenAPI examples of responses: problems by status, and an edit in each state."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError

from jobs.errors import JobNotReady, KeyInUse, QueueUnavailable, TooManyUnfinished, Unavailable
from jobs.schema import EditRequest, JobRecord, Problem, State, StoredObject
from magedit.config import Region
from magedit.measures.report import EditMeasures, Progress, Ratios, Stage
from service.edits.views import Edit, edit_view
from service.errors import (
    Busy,
    ForeignHost,
    ForeignOrigin,
    InvalidKey,
    NoKey,
    NotReady,
    RateLimited,
    ScopeMissing,
    UnknownField,
)
from service.problems.mapping import MEDIA_TYPE, Known, framework_problem, problem_of, validation_problem

RETRY_AFTER = {
    "description": "Seconds to wait before retrying.",
    "schema": {"type": "integer", "minimum": 1},
}
CHALLENGE = {"description": "The required authentication (RFC 6750, 3).", "schema": {"type": "string"}}

ETAGGED: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"description": "Changes with the response.", "schema": {"type": "string"}}}},
    304: {"description": "Unchanged since the `If-None-Match` tag."},
}
"""The ``responses`` of a route that answers with `service.etag.json_answer`."""


def problems(*errors: Known | Problem) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that can raise ``errors``; each is an example under its status."""
    responses: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        problem = error if isinstance(error, Problem) else problem_of(error)
        response = responses.setdefault(
            problem.status, {"description": "", "content": {MEDIA_TYPE: {"schema": SCHEMA, "examples": {}}}}
        )
        response["description"] = "; ".join(filter(None, (response["description"], problem.title)))
        response["content"][MEDIA_TYPE]["examples"][problem.code] = {"value": problem.model_dump(mode="json")}
        if isinstance(error, Unavailable | JobNotReady | KeyInUse | TooManyUnfinished | NotReady | Busy):
            response["headers"] = {"Retry-After": RETRY_AFTER}
        if isinstance(error, NoKey | InvalidKey | ScopeMissing):
            response["headers"] = {"WWW-Authenticate": CHALLENGE}
        if isinstance(error, RateLimited):
            response["headers"] = {"Retry-After": RETRY_AFTER}
    return responses


def example(edit: Edit) -> dict[str, Any]:
    """The ``content`` of an answer with ``edit`` as its example."""
    return {"application/json": {"example": edit.model_dump(mode="json")}}


def guarded() -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of every route that needs a key."""
    return problems(
        NoKey(),
        InvalidKey(),
        ScopeMissing("edits:read"),
        FOREIGN_ORIGIN,
        FOREIGN_HOST,
        UNKNOWN_PARAMETER,
        RATE_LIMITED,
        REDIS_AWAY,
    )


UNKNOWN_PARAMETER = UnknownField("unknown query parameter 'stat'; known here: cursor, limit, state", field="stat")
FOREIGN_HOST = ForeignHost("the request is for 'example.com', but this service is for its own machine only: ...")
FOREIGN_ORIGIN = ForeignOrigin("pages of 'https://example.com' may not change anything here: ...")


REDIS_AWAY = QueueUnavailable("the job queue cannot be reached; try again in a moment")
RATE_LIMITED = RateLimited("a tenant may send 1200 requests in 60 s; try again in 1 s")
SCHEMA = {"$ref": f"#/components/schemas/{Problem.__name__}"}

INVALID = validation_problem(
    RequestValidationError(
        [
            {
                "type": "less_than_equal",
                "loc": ("body", "steps"),
                "msg": "Input should be less than or equal to 250",
                "ctx": {"le": 250},
            }
        ]
    )
)
MALFORMED = framework_problem(HTTPStatus.BAD_REQUEST)
TOO_SLOW = framework_problem(HTTPStatus.REQUEST_TIMEOUT)

_RECORD = JobRecord(
    id="01980d3a7c1e7a3f9b52c0ffee5eed00",
    tenant="local",
    request=EditRequest(
        model="demo",
        source_prompt="a room with a red carpet",
        target_prompt="a room with a yellow carpet",
        regions=(Region(words=("yellow",)),),
        artifacts=("attention",),
    ),
    image="",
    masks=("",),
    webhook_url="https://example.com/hooks/magedit",
    created_at=1_767_225_600.0,
)
QUEUED = edit_view(_RECORD, position=0, model=None, now=_RECORD.created_at)
"""An edit just after acceptance."""

FINISHED = _RECORD.model_copy(
    update={
        "state": State.SUCCEEDED,
        "attempt": 1,
        "started_at": _RECORD.created_at + 0.5,
        "finished_at": _RECORD.created_at + 60.5,
        "expires_at": _RECORD.created_at + 604_860.5,
        "progress": Progress(stage=Stage.DECODE, step=1, steps=1, fraction=1.0),
        "measures": EditMeasures(
            before=(Ratios(token=0.1, spatial=0.3),),
            after=(Ratios(token=0.6, spatial=0.8),),
            words=(("yellow",),),
            unet_forward=100,
            unet_truncated_forward=400,
            unet_backward=375,
            stage_seconds={"prepare": 0.5, "invert": 9.0, "edit": 50.0, "decode": 0.5},
            crop=(0, 0, 128, 128),
            paste_margin_px=4,
        ),
        "results": (
            StoredObject(
                name="result-0.png",
                key="",
                content_type="image/png",
                size=20_000,
                sha256="0" * 64,
                width=128,
                height=128,
            ),
        ),
    }
)
"""The record of the same edit a minute later, with invented figures."""

SUCCEEDED = edit_view(FINISHED, position=None, model=None, now=0.0)
"""The view of that record."""
