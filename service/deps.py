"""Named dependencies: a route's signature says what it uses and who may call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Request

from jobs.schema import JobRecord
from service.backend import Backend as BackendType

LOCAL_TENANT = "local"
"""Owner of every edit while there are no keys."""


@dataclass(frozen=True)
class Tenant:
    """Who calls: edits belong to a tenant and are invisible to every other."""

    name: str


def _backend(request: Request) -> BackendType:
    backend: BackendType = request.app.state.backend
    return backend


Backend = Annotated[BackendType, Depends(_backend)]


def _caller() -> Tenant:
    return Tenant(LOCAL_TENANT)


Caller = Annotated[Tenant, Depends(_caller)]


def _own_edit(
    edit_id: Annotated[str, Path(description="The edit's id.")],
    caller: Caller,
    backend: Backend,
) -> JobRecord:
    return backend.records.require(edit_id, caller.name)


OwnEdit = Annotated[JobRecord, Depends(_own_edit)]
"""The caller's edit of the path's id; 404 for every other id."""
