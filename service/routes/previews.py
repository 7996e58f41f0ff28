"""The preview of a running edit."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from jobs.records.previews import CONTENT_TYPE
from jobs.schema import AnyRecord
from magedit.measures.report import PREVIEW_SIDE
from service.deps import AnyOwnEdit, Backend
from service.edits.views import EDITS
from service.errors import NoPreview
from service.etag import tagged
from service.openapi.responses import REDIS_AWAY, problems
from service.routes.edits import NOT_FOUND

RESULT, STEP, STEPS = "Preview-Result", "Preview-Step", "Preview-Steps"
"""Response headers that identify a preview."""

router = APIRouter(prefix=EDITS + "/{edit_id}", tags=["results"])

_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": f"The whole picture, its longer side at most {PREVIEW_SIDE} pixels.",
        "content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {
            "ETag": {"description": "Changes when the preview does.", "schema": {"type": "string"}},
            RESULT: {"description": "Index of the result shown, from 0.", "schema": {"type": "integer"}},
            STEP: {"description": "The step after which it was made.", "schema": {"type": "integer"}},
            STEPS: {"description": "Total steps of the result.", "schema": {"type": "integer"}},
        },
    },
    304: {"description": "The preview of the `If-None-Match` tag is still the latest."},
}


@router.get(
    "/preview",
    summary="Get the preview of a running edit",
    response_class=Response,
    responses={**_PICTURE, **problems(NOT_FOUND, NoPreview("edit 0190... is queued: there is no preview"), REDIS_AWAY)},
)
def get_preview(request: Request, record: AnyOwnEdit, backend: Backend) -> Response:
    """The latest preview of a running edit: a rough rendering of its latent within the picture. The edit's events
    include it with `previews=true`."""
    preview = backend.previews.get(record.id)
    if preview is None:
        raise NoPreview(f"edit {record.id} is {record.state}: there is no preview{_why(record)}")
    headers = {RESULT: str(preview.result), STEP: str(preview.step), STEPS: str(preview.steps)}
    tag = f"{record.attempt}-{preview.number}"
    return tagged(request, preview.image, CONTENT_TYPE, tag, {"Cache-Control": "no-cache", **headers})


def _why(record: AnyRecord) -> str:
    return " any more; its result is at /result" if record.results else ""
