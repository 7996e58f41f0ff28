"""Routes of models."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from jobs.models import ModelStatus, default_model
from magedit.methods.compatibility import unsuited
from service.deps import READER, Backend
from service.edits.views import Model, ModelEntry, Models
from service.etag import json_answer
from service.openapi.responses import ETAGGED, REDIS_AWAY, problems

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get(
    "",
    summary="List models",
    response_model=Models,
    dependencies=[READER],
    responses={**ETAGGED, **problems(REDIS_AWAY)},
)
def list_models(request: Request, backend: Backend) -> Response:
    """The models that workers have announced, and whether each has a live worker."""
    known = backend.models.all()
    models = tuple(_model(status, backend.queue.depth(name)) for name, status in known.items())
    entries = tuple(ModelEntry(id=name, created=int(status.since)) for name, status in known.items())
    return json_answer(request, Models(data=entries, default=default_model(known, backend.settings), models=models))


def _model(status: ModelStatus, queued: int) -> Model:
    info = status.info.model_dump(include=set(Model.model_fields))
    return Model(
        **info,
        unsuited=unsuited(status.info.traits),
        ready=status.workers > 0,
        declared=status.is_declared,
        workers=status.workers,
        queued=queued,
        step_seconds=status.step_seconds,
    )
