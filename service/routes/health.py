"""Routes for load balancers and monitoring."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from jobs.schema import FieldError
from service.deps import METRICS_READER, Backend, ReadinessDep, WorkerReadinessDep
from service.errors import NotReady
from service.metrics import CONTENT_TYPE, MetricsDep
from service.openapi.responses import FOREIGN_HOST, guarded, problems

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The response of a healthy service."""

    status: Literal["ok"] = "ok"


@router.get("/livez", summary="The process answers", responses=problems(FOREIGN_HOST))
async def livez() -> Health:
    """Depends on nothing, not even a free thread: a process that fails this should be restarted."""
    return Health()


@router.get(
    "/readyz",
    summary="Edits can be accepted and shown",
    responses=problems(NotReady([FieldError(field="redis", message="the job queue cannot be reached")]), FOREIGN_HOST),
)
async def readyz(readiness: ReadinessDep) -> Health:
    """Redis and storage respond; otherwise 503 with every reason. Workers are not checked: without one, edits are still
    shown, and accepted for declared models."""
    if reasons := await readiness.reasons():
        raise NotReady(reasons)
    return Health()


@router.get(
    "/readyz/workers",
    summary="Edits can be carried out",
    responses=problems(NotReady([FieldError(field="worker", message="no worker is live")]), FOREIGN_HOST),
)
async def readyz_workers(readiness: WorkerReadinessDep) -> Health:
    """Redis and storage respond and a worker of any model is live; otherwise 503 with every reason."""
    if reasons := await readiness.reasons():
        raise NotReady(reasons)
    return Health()


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    dependencies=[METRICS_READER],
    responses=guarded(),
)
def metrics(backend: Backend, measured: MetricsDep) -> Response:
    """Requests and latencies of this process; queued edits and live workers by model."""
    return Response(measured.exposition(backend), media_type=CONTENT_TYPE)
