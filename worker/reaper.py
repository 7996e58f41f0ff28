"""The reaper: the only one that brings lost edits back. `python -m worker.reaper` runs it alone; each worker
has one in a thread, and a short lock lets one of them all sweep at a time.

A reaper that stalls and wakes up after its lock ran out does no harm: each requeue checks, in one step inside
Redis, that nobody holds the edit and that it is in no line.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from redis import Redis
from redis.exceptions import LockError

from jobs import keys
from jobs.connection import connect, redis_errors
from jobs.durability import warn_unless_durable
from jobs.errors import QueueUnavailable, StoreUnavailable
from jobs.logs import configure_logging
from jobs.queue import JobQueue
from jobs.records import Records
from jobs.settings import Settings
from jobs.storage import INVERSIONS, ObjectStore, job_prefix
from worker.orphans import Orphans

# The lock outlives this many sweep intervals without being given back, and this many seconds at least: one that dies or
# is stopped in its sweep holds up all others for so long, in addition to the lease of the edit that they wait for.
LOCK_INTERVALS = 3
LOCK_MIN_S = 1.0
# Pause between two removals of old inversions by one process, in seconds.
INVERSION_SWEEP_S = 3600.0

log = structlog.get_logger()


@dataclass(frozen=True)
class Sweep:
    """What one sweep did: ids put back in line (or ended there), ids that failed by their deadlines, ids taken out of
    RQ's leftovers, expired edits removed, prefixes of storage removed that no edit knows."""

    requeued: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    cleaned: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()


class Reaper:
    """Sweeps in intervals until stopped."""

    def __init__(
        self,
        redis: Redis,
        store: ObjectStore,
        settings: Settings,
        recovered: Callable[[int], None] = lambda _: None,
    ) -> None:
        """``recovered`` is told how many edits a sweep put back in line."""
        self._redis, self._store, self._settings, self._recovered = redis, store, settings, recovered
        self._records = Records(redis, settings)
        self._queue = JobQueue(redis, self._records)
        self._orphans = Orphans(redis, self._records, store, settings)
        self._inversions_at = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Sweep until ``stop`` is set; outages are waited out."""
        while not stop.wait(self._settings.reaper_interval_s):
            try:
                self.sweep_alone()
            except QueueUnavailable:
                log.warning("no sweep: Redis is away")
            except StoreUnavailable:
                log.warning("sweep cut short: object storage is away")

    @redis_errors()
    def sweep_alone(self) -> Sweep | None:
        """One sweep, unless another reaper is at it (None)."""
        timeout_s = max(LOCK_MIN_S, LOCK_INTERVALS * self._settings.reaper_interval_s)
        lock = self._redis.lock(keys.REAPER_LOCK, timeout=timeout_s, blocking=False)
        if not lock.acquire():
            return None
        try:
            return self.sweep()
        finally:
            try:
                lock.release()
            except LockError:
                log.warning("the sweep took longer than its lock", timeout_s=timeout_s)

    def sweep(self) -> Sweep:
        """Fail what is late, requeue what is lost, clear RQ's leftovers, remove what has expired.

        An id that a worker is just taking is nowhere for a moment; the grace time is for that.
        """
        late = self._records.fail_overtime()
        for job_id in late:
            log.info("edit failed by its deadline", job=job_id)
        models = self._queue.models()
        requeued = self._requeue(self._queue.overdue(models, self._settings.reaper_grace_s))
        cleaned = tuple(job_id for model in models for job_id in self._clean(model))
        self._expire_inversions()
        return Sweep(requeued, late, cleaned, self._expire(), self._orphans.step())

    def _expire_inversions(self) -> None:
        """Remove inversions that were kept long enough, once in `INVERSION_SWEEP_S`."""
        if time.monotonic() < self._inversions_at:
            return
        self._inversions_at = time.monotonic() + INVERSION_SWEEP_S
        removed = self._store.delete_older(INVERSIONS, self._settings.inversion_ttl_s)
        if removed:
            log.info("inversions removed", objects=removed)

    def _clean(self, model: str) -> tuple[str, ...]:
        """Take out of RQ what is over: late edits, and what a process left that died before it did so itself."""
        self._queue.tidy(model)
        known = sorted(self._queue.taken(model) | self._queue.waiting(model))
        finished = tuple(sorted(set(known) - self._records.open_among(known)))
        for job_id in finished:
            self._queue.remove_id(job_id, model)
        return finished

    def _requeue(self, job_ids: tuple[str, ...]) -> tuple[str, ...]:
        done = []
        # Each goes to the head of its line, so the oldest (ids sort by age) must come last.
        for record in self._records.get_many(sorted(job_ids, reverse=True)):
            state = self._queue.requeue(record)
            if state is not None:
                log.warning("edit recovered", job=record.id, attempt=record.attempt, state=state)
                done.append(record.id)
        self._recovered(len(done))
        return tuple(done)

    def _expire(self) -> tuple[str, ...]:
        done = []
        for record in self._records.expired():
            self._store.delete_prefix(job_prefix(record.tenant, record.id))
            self._records.bury(record.id)
            done.append(record.id)
        return tuple(done)


def main() -> None:
    """Sweep until SIGTERM or SIGINT."""
    configure_logging()
    settings = Settings()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    redis = connect(settings)
    with suppress(QueueUnavailable):
        warn_unless_durable(redis)
    Reaper(redis, ObjectStore.from_settings(settings), settings).run(stop)


if __name__ == "__main__":
    main()
