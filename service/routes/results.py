"""The pictures of a finished edit."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from jobs import errors as job
from jobs.errors import JobExpired, JobNotReady, JobNotSucceeded
from jobs.schema import CONTENT_TYPES, JobRecord, State, StoredObject
from service.answers import json_answer, tagged
from service.backend import Backend as BackendType
from service.deps import Backend, OwnEdit
from service.errors import EditFailed, NoSuchFile
from service.routes.documented import ETAGGED, problems
from service.routes.edits import NOT_FOUND, REDIS_AWAY, STORE_AWAY
from service.views import EDITS, Files, artifact_files

router = APIRouter(prefix=EDITS + "/{edit_id}", tags=["results"])

_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in CONTENT_TYPES.values()},
        "headers": {"ETag": {"description": "SHA-256 of the bytes.", "schema": {"type": "string"}}},
    },
    304: {"description": "The picture of the `If-None-Match` tag."},
}
_ARTIFACT = _PICTURE | {
    200: {
        "description": "The artifact: a picture, or the trace as JSON.",
        "content": _PICTURE[200]["content"] | {"application/json": {"schema": {"type": "array"}}},
        "headers": _PICTURE[200]["headers"],
    }
}
_MISSING = problems(
    NOT_FOUND,
    NoSuchFile("edit 0190... has 1 result(s): 0"),
    JobNotReady("edit 0190... is running: its result is not ready"),
    JobNotSucceeded("edit 0190... was canceled: it has no result"),
    JobExpired("the result of edit 0190... was kept until 2026-01-01T00:00:00Z"),
    job.ObjectNotFound("storage has no such object"),
    REDIS_AWAY,
    STORE_AWAY,
)


@router.get("/result", summary="Fetch the result", response_class=Response, responses={**_PICTURE, **_MISSING})
def get_result(request: Request, record: OwnEdit, backend: Backend) -> Response:
    """The edited picture: the image's size, every pixel outside the dilated mask as it was."""
    return _result(request, record, 0, backend)


@router.get(
    "/result/{number}",
    summary="Fetch one of several results",
    response_class=Response,
    responses={**_PICTURE, **_MISSING},
)
def get_numbered_result(
    request: Request,
    record: OwnEdit,
    backend: Backend,
    number: Annotated[int, Path(ge=0, le=1000, description="Position in `results`, from 0.")],
) -> Response:
    """One of the edit's pictures, by its position in `results`."""
    return _result(request, record, number, backend)


@router.get("/artifacts", summary="List the artifacts", response_model=Files, responses={**ETAGGED, **_MISSING})
def list_artifacts(request: Request, record: OwnEdit, backend: Backend) -> Response:
    """What was kept besides the result, as asked for with `artifacts`.

    `attention`: per region `attention-before-0.png` (without guidance), `attention-after-0.png` (with it) and
    `attention-steps-0.png` (both over the steps), `overview.png`, `trace.json`. `trace`: `trace.json`, `trace.png`.
    `difference`: `difference.png`. `crop`: `crop.png`.
    """
    _require_results(record, backend)
    return json_answer(request, Files(files=artifact_files(record)))


@router.get(
    "/artifacts/{name}",
    summary="Fetch an artifact",
    response_class=Response,
    responses={**_ARTIFACT, **_MISSING},
)
def get_artifact(
    request: Request,
    record: OwnEdit,
    backend: Backend,
    name: Annotated[str, Path(max_length=100, description="Name in `artifacts`.")],
) -> Response:
    """One artifact."""
    _require_results(record, backend)
    for stored in record.artifacts:
        if stored.name == name:
            return _file(request, stored, backend)
    names = ", ".join(stored.name for stored in record.artifacts) or "none"
    raise NoSuchFile(f"edit {record.id} has no artifact {name!r}; it has: {names}", field="name")


def _result(request: Request, record: JobRecord, number: int, backend: BackendType) -> Response:
    _require_results(record, backend)
    if number >= len(record.results):
        raise NoSuchFile(f"edit {record.id} has {len(record.results)} result(s), counted from 0", field="number")
    return _file(request, record.results[number], backend)


def _require_results(record: JobRecord, backend: BackendType) -> None:
    if not record.state.is_terminal:
        raise JobNotReady(f"edit {record.id} is {record.state}: its result is not ready")
    if record.problem is not None:
        raise EditFailed(record.problem)
    if record.state is not State.SUCCEEDED:
        raise JobNotSucceeded(f"edit {record.id} is {record.state}: it has no result")
    if record.is_expired(backend.records.now()):
        raise JobExpired(f"the pictures of edit {record.id} were kept as long as the service keeps them, and are gone")


def _file(request: Request, stored: StoredObject, backend: BackendType) -> Response:
    headers = {
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": f'inline; filename="{stored.name}"',
        "X-Content-Type-Options": "nosniff",
    }
    return tagged(request, backend.store.get(stored.key), stored.content_type, stored.sha256, headers)
