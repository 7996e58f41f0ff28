"""Readiness checks of Redis, storage and workers, bounded in time and threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from anyio import CapacityLimiter, to_thread

from jobs.errors import JobError
from jobs.schema import FieldError
from service.backend import Backend

PATIENCE_S = 2.5
"""How long an answer waits for its parts, in seconds: less than health checks have patience for (Kubernetes 1 s by
default, often set to 3 to 5; the image's own 5)."""

Check = Callable[[], FieldError | None]
"""Asks one part, in a thread; what is wrong with it, if anything."""


class Readiness:
    """Looks at every part at once, one check at a time for each.

    A check that hangs holds one thread, none of the pool that answers requests, until it ends by its own time limit:
    whoever asks meanwhile waits for the same check, and not for long. For the coroutines of one event loop.
    """

    def __init__(self, checks: Mapping[str, Check], *, patience_s: float = PATIENCE_S) -> None:
        """``checks`` by the name of what they check at."""
        self._checks, self._patience_s = checks, patience_s
        self._under_way: dict[str, asyncio.Task[FieldError | None]] = {}

    async def reasons(self) -> tuple[FieldError, ...]:
        """What is wrong, in the order of the checks; empty: the service is ready."""
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
        return FieldError(field=name, message=f"no answer in {self._patience_s:g} s")


def _in_own_thread(check: Check) -> Awaitable[FieldError | None]:
    return to_thread.run_sync(check, limiter=CapacityLimiter(1), abandon_on_cancel=True)


def checks(backend: Backend) -> dict[str, Check]:
    """At Redis and at storage: whether edits can be accepted and shown."""

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
    """The same, and at the workers: whether edits are carried out too."""

    def at_workers() -> FieldError | None:
        try:
            if any(status.workers for status in backend.models.all().values()):
                return None
        except JobError:
            # That it is away is told where Redis is asked for.
            return None
        return FieldError(field="worker", message="no worker is live")

    return {**checks(backend), "worker": at_workers}
