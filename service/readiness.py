"""Readiness checks of Redis, storage and workers, bounded in time and threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from anyio import CapacityLimiter, to_thread

from jobs.errors import JobError
from jobs.schema import FieldError
from service.backend import Backend

PATIENCE_S = 2.5
"""Longest wait for the checks, in seconds: less than the usual timeouts of health checks (Kubernetes 1 s by default,
often set to 3 to 5; the image's own 5)."""

Check = Callable[[], FieldError | None]
"""Checks one component, in a thread; returns the problem, if any."""


class Readiness:
    """Checks all components concurrently, one check at a time for each.

    A hanging check blocks one thread, outside the request pool, until its own timeout; concurrent callers wait briefly
    for the same check. For the coroutines of one event loop.
    """

    def __init__(self, checks: Mapping[str, Check], *, patience_s: float = PATIENCE_S) -> None:
        """``checks`` by component name."""
        self._checks, self._patience_s = checks, patience_s
        self._under_way: dict[str, asyncio.Task[FieldError | None]] = {}

    async def reasons(self) -> tuple[FieldError, ...]:
        """The problems, in the order of the checks; empty: the service is ready."""
        tasks = {name: self._task(name) for name in self._checks}
        await asyncio.wait(tasks.values(), timeout=self._patience_s)
        found = (task.result() if task.done() else self._silent(name) for name, task in tasks.items())
        return tuple(reason for reason in found if reason is not None)

    def _task(self, name: str) -> asyncio.Task[FieldError | None]:
        task = self._under_way.get(name)
        if task is None or task.done():
            task = self._under_way[name] = asyncio.ensure_future(_in_own_thread(self._checks[name]))
        return task

    def _silent(self, name: str) -> FieldError:
        return FieldError(field=name, message=f"no response within {self._patience_s:g} s")


def _in_own_thread(check: Check) -> Awaitable[FieldError | None]:
    return to_thread.run_sync(check, limiter=CapacityLimiter(1), abandon_on_cancel=True)


def checks(backend: Backend) -> dict[str, Check]:
    """Checks of Redis and storage: whether edits can be accepted and shown."""

    def at_redis() -> FieldError | None:
        try:
            backend.models.all()
        except JobError as error:
            return FieldError(field="redis", message=error.message)
        return None

    def at_storage() -> FieldError | None:
        try:
            backend.store.ping()
        except JobError as error:
            return FieldError(field="storage", message=error.message)
        return None

    return {"redis": at_redis, "storage": at_storage}


def worker_checks(backend: Backend) -> dict[str, Check]:
    """The same plus the workers: whether edits can be carried out."""

    def at_workers() -> FieldError | None:
        try:
            if any(status.workers for status in backend.models.all().values()):
                return None
        except JobError:
            # The Redis check reports its outage.
            return None
        return FieldError(field="worker", message="no worker is live")

    return {**checks(backend), "worker": at_workers}
