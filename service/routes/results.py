"""The pictures of a finished edit."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from jobs import errors as job
from jobs.errors import JobExpired, JobNotReady, JobNotSucceeded
from jobs.schema import CONTENT_TYPES, JobRecord, StoredObject
from service.backend import Backend as BackendType
from service.deps import Backend, OwnEdit
from service.edits.results import presigned, require_pictures, require_result
from service.edits.views import EDITS, Files, artifact_files
from service.errors import EditFailed, NoSuchFile
from service.etag import json_answer, not_modified, tagged
from service.openapi.responses import ETAGGED, REDIS_AWAY, problems
from service.routes.jobs import STORE_AWAY

Redirect = Annotated[
    bool | None,
    Query(
        description="`true`: respond with 303 and a presigned address, if the object storage supports it; otherwise "
        "with the bytes. Empty: the service's setting."
    ),
]

SEED, STRENGTH = "Edit-Seed", "Edit-Strength"
"""Response headers that identify a result."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

router = APIRouter(prefix=EDITS + "/{edit_id}", tags=["results"])

PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in CONTENT_TYPES.values()},
        "headers": {
            "ETag": {"description": "SHA-256 of the bytes.", "schema": {"type": "string"}},
            SEED: {"description": "The result's own seed.", "schema": {"type": "integer"}},
            STRENGTH: {"description": "The result's own strength.", "schema": {"type": "number"}},
        },
    },
    303: {
        "description": "Temporary presigned address in the object storage; needs no key.",
        "headers": {"Location": {"description": "The address.", "schema": {"type": "string", "format": "uri"}}},
    },
    304: {"description": "The picture of the `If-None-Match` tag."},
}
_ARTIFACT = PICTURE | {
    200: {
        "description": "The artifact: a picture, or the trace as JSON.",
        "content": PICTURE[200]["content"] | {"application/json": {"schema": {}}},
        "headers": {"ETag": PICTURE[200]["headers"]["ETag"]},
    }
}


def missing(what: str, outside: str) -> dict[int | str, dict[str, Any]]:
    """The problems of fetching a picture of an edit or a mask (``what``); ``outside`` is the example of a number that
    it does not have."""
    return problems(
        job.JobNotFound(f"there is no {what} '0190...'"),
        NoSuchFile(outside),
        JobNotReady(f"{what} 0190... is running: its result is not ready"),
        JobNotSucceeded(f"{what} 0190... was canceled: it has no result"),
        JobExpired(f"the result of {what} 0190... was kept until 2026-01-01T00:00:00Z"),
        job.ObjectNotFound("storage has no such object"),
        REDIS_AWAY,
        STORE_AWAY,
    )


_MISSING = missing("edit", "edit 0190... has 1 result(s): 0")


@router.get("/result", summary="Fetch the result", response_class=Response, responses={**PICTURE, **_MISSING})
def get_result(request: Request, record: OwnEdit, backend: Backend, redirect: Redirect = None) -> Response:
    """The edited picture, in the image's size, with every pixel outside the dilated mask unchanged."""
    return _result(request, record, 0, backend, redirect=redirect)


@router.get(
    "/result/{number}",
    summary="Fetch one of several results",
    response_class=Response,
    responses={**PICTURE, **_MISSING},
)
def get_numbered_result(
    request: Request,
    record: OwnEdit,
    backend: Backend,
    number: Annotated[int, Path(ge=0, le=1000, description="Position in `results`, from 0.")],
    redirect: Redirect = None,
) -> Response:
    """One of the edit's pictures, by its position in `results`."""
    return _result(request, record, number, backend, redirect=redirect)


@router.get("/artifacts", summary="List the artifacts", response_model=Files, responses={**ETAGGED, **_MISSING})
def list_artifacts(request: Request, record: OwnEdit, backend: Backend) -> Response:
    """The additional files requested with `artifacts`.

    `attention`: per region `attention-before-0.png` (without guidance), `attention-after-0.png` (with it) and
    `attention-steps-0.png` (both over the steps), `overview.png`, `trace.json`. `trace`: `trace.json`, `trace.png`.
    `difference`: `difference.png`. `crop`: `crop.png`. With several results these are the first one's; files that
    differ for another are named `result-1-difference.png` and so on, and `contact-sheet.png` shows all results.
    """
    require_not_failed(record)
    require_pictures(record, backend)
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
    redirect: Redirect = None,
) -> Response:
    """One artifact."""
    require_not_failed(record)
    require_pictures(record, backend)
    for stored in record.artifacts:
        if stored.name == name:
            return stored_file(request, record, stored, backend, redirect=redirect)
    names = ", ".join(stored.name for stored in record.artifacts) or "none"
    raise NoSuchFile(f"edit {record.id} has no artifact {name!r}; it has: {names}", field="name")


def _result(
    request: Request, record: JobRecord, number: int, backend: BackendType, *, redirect: bool | None
) -> Response:
    require_not_failed(record)
    stored = require_result(record, number, backend, field="number")
    own = record.result_measures(number)
    headers = {SEED: str(own.seed), STRENGTH: f"{own.strength:g}"} if own else {}
    return stored_file(request, record, stored, backend, headers, redirect=redirect)


def require_not_failed(record: JobRecord) -> None:
    """Explain why a failed edit or mask has no result. Raises EditFailed."""
    if record.problem is not None:
        raise EditFailed(record.problem)


def stored_file(
    request: Request,
    record: JobRecord,
    stored: StoredObject,
    backend: BackendType,
    headers: Mapping[str, str] = NO_HEADERS,
    *,
    redirect: bool | None,
) -> Response:
    """The bytes of ``stored``, or a redirect to them, with the given ``headers``."""
    if backend.settings.redirect_results if redirect is None else redirect:
        address = presigned(record, stored, backend)
        if address is not None:
            # The URL alone opens the picture: no shared cache may keep it.
            there = {**headers, "Location": address, "Cache-Control": "no-store"}
            return Response(status_code=HTTPStatus.SEE_OTHER, headers=there)
    here = {
        **headers,
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": f'inline; filename="{stored.name}"',
        "X-Content-Type-Options": "nosniff",
    }
    known = not_modified(request, stored.sha256, here)
    if known is not None:
        return known
    return tagged(request, backend.store.get(stored.key), stored.content_type, stored.sha256, here)
