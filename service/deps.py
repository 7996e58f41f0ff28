"""Named FastAPI dependencies: resources and required API-key scopes of a route."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Path, Request, Security
from fastapi.security import HTTPBearer, SecurityScopes
from starlette.concurrency import run_in_threadpool

from jobs.schema import AnyRecord, JobRecord, MaskRecord
from service.backend import Backend as BackendType
from service.edits.watcher import Watch
from service.errors import NoKey, ScopeMissing, UnknownField
from service.images.upload_limiter import UploadLimiter
from service.middleware.bearer_auth import Caller
from service.readiness import Readiness


def _of_app(name: str) -> Any:
    """Dependency on the application state's ``name`` (`service.app`)."""

    # A coroutine, since FastAPI runs plain functions in a thread.
    async def kept(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(kept)


Backend = Annotated[BackendType, _of_app("backend")]
WatchDep = Annotated[Watch, _of_app("watch")]
ReadinessDep = Annotated[Readiness, _of_app("readiness")]
WorkerReadinessDep = Annotated[Readiness, _of_app("worker_readiness")]
UploadLimiterDep = Annotated[UploadLimiter, _of_app("upload_limiter")]

# For the OpenAPI document only: `service.middleware.bearer_auth` reads the header.
_SCHEME = HTTPBearer(
    scheme_name="ApiKey",
    bearerFormat="mge_<id>_<secret>",
    description="An API key. Not required by a service on one machine (`MAGEDIT_AUTH=off`).",
    auto_error=False,
)


async def _caller(request: Request, needed: SecurityScopes, _: Annotated[object, Security(_SCHEME)]) -> Caller:
    caller: Caller | None = getattr(request.state, "caller", None)
    if caller is None:
        # A route outside `service.middleware.auth.GUARDED` that depends on the caller.
        raise NoKey
    for scope in needed.scopes:
        if scope not in caller.scopes:
            raise ScopeMissing(scope)
    return caller


Reader = Annotated[Caller, Security(_caller, scopes=["edits:read"])]
Writer = Annotated[Caller, Security(_caller, scopes=["edits:write"])]
UsageReader = Annotated[Caller, Security(_caller, scopes=["usage:read"])]

WRITER = Security(_caller, scopes=["edits:write"])
"""`Writer` among a route's own dependencies, checked before the others."""
READER = Security(_caller, scopes=["edits:read"])
METRICS_READER = Security(_caller, scopes=["metrics:read"])


async def require_known_query(request: Request) -> None:
    """Reject unknown and repeated query parameters, which would otherwise be ignored silently.

    Raises:
        UnknownField: names the parameter and the known ones.
    """
    if not request.query_params:
        return
    # The OpenAPI document is built once, which takes a while.
    contract = await run_in_threadpool(request.app.openapi)
    # The path as it was routed: `request.url` has lost tabs and line ends (WHATWG URL).
    operation = contract["paths"][request.app.state.routes.name(request.scope["path"])][request.method.lower()]
    known = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    for name in request.query_params:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            cure = "; the fields of an edit are sent as a form" if request.method == "POST" else ""
            raise UnknownField(f"unknown query parameter {name!r}; known here: {there}{cure}", field=name)
        if (count := len(request.query_params.getlist(name))) > 1:
            raise UnknownField(f"the query parameter {name!r} is given {count} times: send it once", field=name)


EditId = Annotated[str, Path(description="The edit's id.")]


def _own_edit(
    edit_id: EditId,
    caller: Annotated[Caller, Depends(_caller)],
    backend: Backend,
) -> JobRecord:
    return backend.records.require(edit_id, caller.tenant)


def _any_own_edit(
    edit_id: EditId,
    caller: Annotated[Caller, Depends(_caller)],
    backend: Backend,
) -> AnyRecord:
    return backend.records.look(edit_id, caller.tenant)


OwnEdit = Annotated[JobRecord, Security(_own_edit, scopes=["edits:read"])]
"""The caller's edit with the path's id, for reading; 404 for any other id, 500 if its record cannot be read."""

AnyOwnEdit = Annotated[AnyRecord, Security(_any_own_edit, scopes=["edits:read"])]
"""The caller's edit with the path's id, for viewing, even if its record cannot be read; 404 for any other id."""

OwnEditToChange = Annotated[AnyRecord, Security(_any_own_edit, scopes=["edits:write"])]
"""The same, for changes."""


MaskId = Annotated[str, Path(description="The mask's id.")]


def _own_mask(mask_id: MaskId, caller: Annotated[Caller, Depends(_caller)], backend: Backend) -> MaskRecord:
    return backend.records.require_mask(mask_id, caller.tenant)


def _any_own_mask(mask_id: MaskId, caller: Annotated[Caller, Depends(_caller)], backend: Backend) -> AnyRecord:
    return backend.records.look(mask_id, caller.tenant, "mask")


OwnMask = Annotated[MaskRecord, Security(_own_mask, scopes=["edits:read"])]
"""As `OwnEdit`, for masks."""

AnyOwnMask = Annotated[AnyRecord, Security(_any_own_mask, scopes=["edits:read"])]
"""As `AnyOwnEdit`, for masks."""

OwnMaskToChange = Annotated[AnyRecord, Security(_any_own_mask, scopes=["edits:write"])]
"""As `OwnEditToChange`, for masks."""
