"""Change notification of edits, with one polling task per process.

Waiting holds no thread and no connection to Redis. A poll asks for the revisions of all watched edits in one round
trip, and reads and renders each changed one once for all that wait. So memory is bounded by the watched edits: one
rendered edit each.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from starlette.concurrency import run_in_threadpool

from jobs.errors import QueueUnavailable
from jobs.schema import State
from service.backend import Backend
from service.edits.representation import any_views_of

LOOK_S = 0.25
"""Pause between two polls, in seconds; workers save progress as often (`MAGEDIT_PROGRESS_INTERVAL_S`)."""

NOTHING = -1
"""The revision before any; an edit's revisions start at 0."""


log = structlog.get_logger(__name__)


class WatchClosed(Exception):
    """The process is stopping; there will be no more notifications."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """An edit at one revision. ``edit`` is its JSON as `GET /v1/edits/{id}` gives it; ``progress`` that of the parts
    that change while it runs; ``warnings`` the number of its warnings."""

    revision: int
    state: State
    cancel_requested: bool
    attempt: int
    warnings: int
    edit: str
    progress: str

    @property
    def rare(self) -> tuple[State, bool, int]:
        """The rarely changing parts; a change of them sends the whole edit."""
        return self.state, self.cancel_requested, self.warnings


Poll = Callable[[Mapping[str, int]], Mapping[str, Snapshot | None]]
"""Revisions last seen by edit id -> snapshots of the edits with a later one; None: the edit is gone."""


def snapshots(backend: Backend) -> Poll:
    """Reads the records of ``backend``. Raises QueueUnavailable."""

    def look(seen: Mapping[str, int]) -> Mapping[str, Snapshot | None]:
        revisions = backend.records.revisions(list(seen))
        changed = [job_id for job_id, revision in revisions.items() if revision is not None and revision > seen[job_id]]
        found: dict[str, Snapshot | None] = {job_id: None for job_id, revision in revisions.items() if revision is None}
        records = backend.records.get_many(changed)
        views = any_views_of(records, backend)
        for record in records:
            view = views[record.id]
            found[record.id] = Snapshot(
                revision=record.revision,
                state=record.state,
                cancel_requested=record.cancel_requested,
                attempt=record.attempt,
                warnings=len(record.warnings),
                edit=view.model_dump_json(),
                progress=view.model_dump_json(include={"id", "state", "progress", "eta_s", "attempt"}),
            )
        return found

    return look


class Watch:
    """Lets coroutines of one event loop wait for edits."""

    def __init__(self, look: Poll) -> None:
        """``look`` is called in a thread; while it raises nothing is known to have changed."""
        self._look = look
        self._watchers: Counter[str] = Counter()
        self._latest: dict[str, Snapshot | None] = {}
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def close(self) -> None:
        """End every wait, so that requests which wait for an edit are answered before the process stops."""
        async with self._news:
            self._closed = True
            self._news.notify_all()

    @property
    def watched(self) -> int:
        """Number of watched edits."""
        return len(self._watchers)

    @contextmanager
    def watching(self, job_id: str) -> Iterator[None]:
        """Watch the edit inside the context, for any number of `after`."""
        self._watchers[job_id] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._watchers[job_id] -= 1
            if not self._watchers[job_id]:
                del self._watchers[job_id]
                self._latest.pop(job_id, None)

    async def after(self, job_id: str, revision: int) -> Snapshot | None:
        """Wait for the first snapshot that is later than ``revision``; None: the edit is gone.

        Raises:
            WatchClosed: `close` was called.
        """

        def is_later() -> bool:
            if self._closed:
                return True
            if job_id not in self._latest:
                return False
            latest = self._latest[job_id]
            return latest is None or latest.revision > revision

        async with self._news:
            await self._news.wait_for(is_later)
            if self._closed:
                raise WatchClosed
            return self._latest[job_id]

    async def end(self, job_id: str) -> Snapshot | None:
        """Wait for the end of the edit; None: it is gone. Raises WatchClosed."""
        revision = NOTHING
        with self.watching(job_id):
            while True:
                snapshot = await self.after(job_id, revision)
                if snapshot is None or snapshot.state.is_terminal:
                    return snapshot
                revision = snapshot.revision

    async def _run(self) -> None:
        while self._watchers:
            seen = {job_id: self._revision(job_id) for job_id in self._watchers}
            try:
                found = await run_in_threadpool(self._look, seen)
            except QueueUnavailable:
                found = {}
            except Exception:
                # Any error: without this task no waiting caller would be notified again.
                log.exception("the watched edits cannot be looked at", watched=len(seen))
                found = {}
            async with self._news:
                # Some may have been abandoned meanwhile.
                self._latest |= {job_id: found[job_id] for job_id in found if job_id in self._watchers}
                if found:
                    self._news.notify_all()
            await asyncio.sleep(LOOK_S)

    def _revision(self, job_id: str) -> int:
        latest = self._latest.get(job_id)
        return NOTHING if latest is None else latest.revision
