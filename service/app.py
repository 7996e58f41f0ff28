"""The application: routes, limits, errors, and the backend's life."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from jobs.observability.tracing import tracer_provider
from jobs.settings import Settings
from service.backend import Backend
from service.deps import require_known_query
from service.edits.watcher import Watch, snapshots
from service.images.upload_limiter import UploadLimiter
from service.metrics import Metrics, MetricsMiddleware
from service.middleware.auth import AuthMiddleware, Gatekeeper
from service.middleware.body_timeout import BodyMiddleware
from service.middleware.head_requests import HeadMiddleware
from service.middleware.localhost import LocalMiddleware
from service.middleware.request_id import RequestMiddleware
from service.middleware.route_table import Routes
from service.openai.envelope import EnvelopeMiddleware
from service.openapi.document import document
from service.openapi.responses import guarded
from service.problems import responses as problem_responses
from service.readiness import Readiness, checks, worker_checks
from service.routes import (
    edits,
    events,
    health,
    images,
    masks,
    methods,
    models,
    page,
    previews,
    resolve,
    results,
    usage,
    webhooks,
)

DESCRIPTION = """\
Localized image editing: submit an image, a mask and two prompts; poll the edit; fetch the picture.
Only the area of the mask is edited; every pixel outside the dilated mask is unchanged.

Every error is a problem document (RFC 9457, `application/problem+json`) with a stable `code` and the offending fields.
"""


def create_app(settings: Settings) -> FastAPI:
    """Build the application. It connects when it starts (in its lifespan), not here."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        backend = Backend.open(settings)
        app.state.backend = backend
        app.state.watch = Watch(snapshots(backend))
        app.state.readiness = Readiness(checks(backend))
        app.state.worker_readiness = Readiness(worker_checks(backend))
        app.state.upload_limiter = UploadLimiter(settings.submits_at_a_time)
        app.state.gate = Gatekeeper.of(backend.redis, settings)
        yield
        backend.close()
        if tracing is not None:
            tracing.shutdown()

    tracing = tracer_provider(settings, "service")
    app = FastAPI(
        title="MAG-Edit",
        version=version("magedit"),
        description=DESCRIPTION,
        lifespan=lifespan,
        # Function names in generated clients.
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
        # FastAPI's own load scripts from other hosts; `/docs` is served by the page.
        docs_url=None,
        redoc_url=None,
        telemetry={
            "tracing": tracing is not None,
            "tracer_provider": tracing,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
        },
    )
    app.state.metrics, app.state.routes = Metrics(), Routes(app)
    for module in (edits, resolve, events, previews, results, masks, webhooks, models, methods, usage):
        app.include_router(module.router, responses=guarded(), dependencies=[Depends(require_known_query)])
    app.include_router(images.router, dependencies=[Depends(require_known_query)])
    app.include_router(health.router)
    app.webhooks.include_router(webhooks.told)
    app.include_router(page.router)
    problem_responses.install(app)
    # The last middleware added is the outermost.
    app.add_middleware(HeadMiddleware)
    app.add_middleware(AuthMiddleware, settings=settings)
    app.add_middleware(LocalMiddleware, settings=settings)
    app.add_middleware(BodyMiddleware, idle_s=settings.body_idle_s)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_body_bytes)
    app.add_middleware(problem_responses.ProblemMiddleware)
    app.add_middleware(EnvelopeMiddleware)
    app.add_middleware(MetricsMiddleware, metrics=app.state.metrics, route_of=app.state.routes.name)
    app.add_middleware(RequestMiddleware)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    return app
