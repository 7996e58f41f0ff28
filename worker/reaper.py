"""The reaper: requeues edits whose worker died.

`python -m worker.reaper` runs it alone; each worker runs one in a thread. All of them share one schedule and a short
lock, so that one sweep runs per interval.

A reaper that stalls and resumes after its lock has expired does no harm: each requeue checks atomically inside Redis
that no worker holds the edit and that it is in no queue.

Housekeeping, which needs storage, runs in its own thread, so that a request that hangs for minutes delays no lost edit.
It has a schedule but no lock, since every part of it may run twice, even concurrently.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog
from redis import Redis
from redis.exceptions import LockError, OutOfMemoryError

from jobs import keys
from jobs.connection import connect, redis_errors
from jobs.durability import warn_unless_durable
from jobs.errors import QueueUnavailable, StoreUnavailable
from jobs.process import refuse_arguments, start
from jobs.queue import JobQueue
from jobs.records.outcomes import Expired, Place
from jobs.records.store import Records
from jobs.settings import Settings
from jobs.storage import INVERSIONS, ObjectStore, job_prefix
from worker.orphans import Orphans
from worker.sd_notify import Supervisor

# Lifetime of the lock, in sweep intervals, with a minimum in seconds: a reaper that dies in its sweep delays all others
# by as much, in addition to the lease of the edit that waits for them.
LOCK_INTERVALS = 3
LOCK_MIN_S = 1.0
# Pause between two removals of old inversions, in seconds.
INVERSION_SWEEP_S = 3600.0
# Pause between two scans of whole queues for finished edits, in seconds. Such an id is harmless, since a worker that
# takes it drops it, and a queue can be long.
LINE_SWEEP_S = 30.0
# How long a stopping reaper waits for its housekeeping, which can be cut off at any point, in seconds.
HOUSE_JOIN_S = 2.0

log = structlog.get_logger()


@dataclass(frozen=True)
class Sweep:
    """Result of one sweep: ids requeued (or ended instead), ids that missed their deadlines, ids removed from RQ's
    leftovers."""

    requeued: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    cleaned: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chores:
    """Result of one round of housekeeping: expired edits removed, finished ids removed from queues, storage prefixes
    without an edit removed."""

    expired: tuple[str, ...] = ()
    cleaned: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()


class Reaper:
    """Runs sweeps and housekeeping at intervals until stopped."""

    def __init__(
        self,
        redis: Redis,
        store: ObjectStore,
        settings: Settings,
        recovered: Callable[[int], None] = lambda _: None,
    ) -> None:
        """``recovered`` is called with the number of edits that a sweep requeued."""
        self._redis, self._store, self._settings, self._recovered = redis, store, settings, recovered
        self._records = Records(redis, settings)
        self._queue = JobQueue(redis, self._records)
        self._orphans = Orphans(redis, self._records, store, settings)

    def run(self, stop: threading.Event, alive: Callable[[], None] = lambda: None) -> None:
        """Run until ``stop`` is set, through outages and errors. ``alive`` is called before each sweep."""
        chores = (stop, "housekeeping", self.keep_house_in_turn)
        house = threading.Thread(target=self._repeat, args=chores, name="housekeeping", daemon=True)
        house.start()
        self._repeat(stop, "sweep", self.sweep_alone, alive)
        house.join(HOUSE_JOIN_S)

    def _repeat(
        self, stop: threading.Event, what: str, work: Callable[[], object], alive: Callable[[], None] = lambda: None
    ) -> None:
        while not stop.wait(self._settings.reaper_interval_s):
            alive()
            try:
                work()
            except QueueUnavailable:
                log.warning("cut short: Redis is away, or refuses to write", what=what)
            except StoreUnavailable:
                log.warning("cut short: object storage is away", what=what)
            except Exception:
                log.exception("cut short by an error", what=what)

    def _phase(self, phase: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """Run a phase. An unexpected error skips only this phase; outages propagate."""
        try:
            return phase()
        except (QueueUnavailable, StoreUnavailable):
            raise
        except Exception:
            log.exception("skipped because of an error")
            return ()

    def _turn(self, key: str, pause_s: float) -> bool:
        """Take this turn if no process has had it for ``pause_s`` seconds; returns whether it was taken."""
        return bool(self._redis.set(key, 1, nx=True, px=max(1, int(pause_s * 1000))))

    # --- urgent, needs Redis only ---

    @redis_errors()
    def sweep_alone(self) -> Sweep | None:
        """One sweep; None if another reaper is sweeping or has swept within the interval."""
        if not self._turn(keys.SWEPT, self._settings.reaper_interval_s):
            return None
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
        """Fail late edits, requeue lost ones, clear RQ's leftovers.

        The grace time covers the moment in which an id that a worker is taking is nowhere.
        """
        late = self._phase(self._fail_late)
        return Sweep(self._phase(self._requeue), late, self._phase(partial(self._clean, late)))

    def _fail_late(self) -> tuple[str, ...]:
        late = self._records.fail_overtime()
        for job_id in late:
            log.info("edit failed by its deadline", job=job_id)
        return late

    def _requeue(self) -> tuple[str, ...]:
        overdue = self._queue.overdue(self._queue.models(), self._settings.reaper_grace_s)
        # Each goes to the head of its queue, so the oldest (ids sort by age) must come last.
        places = self._records.places(sorted(overdue, reverse=True))
        done = tuple(job_id for place in places for job_id in self._phase(partial(self._bring_back, place)))
        self._recovered(len(done))
        return done

    def _bring_back(self, place: Place) -> tuple[str, ...]:
        state = self._queue.requeue(place)
        if state is None:
            return ()
        log.warning("edit recovered", job=place.id, attempt=place.attempt, state=state)
        return (place.id,)

    def _clean(self, late: tuple[str, ...]) -> tuple[str, ...]:
        """Remove finished edits from RQ: late ones, and those whose worker died before removing them."""
        for place in self._records.places(late):
            self._queue.remove(place)
        done = [*late]
        for model in self._queue.models():
            self._queue.tidy(model)
            done += self._drop_finished(self._queue.taken(model), model)
        return tuple(done)

    def _drop_finished(self, job_ids: set[str], model: str) -> list[str]:
        finished = sorted(job_ids - self._records.open_among(sorted(job_ids)))
        for job_id in finished:
            self._queue.remove_id(job_id, model)
        return finished

    # --- needs storage, or can wait ---

    @redis_errors()
    def keep_house_in_turn(self) -> Chores | None:
        """One round of housekeeping; None if there was one within the interval."""
        try:
            if not self._turn(keys.HOUSE_KEPT, self._settings.reaper_interval_s):
                return None
        except OutOfMemoryError:
            # Expiry frees memory and needs none, so it must not wait. Concurrent rounds do no harm.
            log.warning("Redis is full: housekeeping out of turn")
        return self.keep_house()

    def keep_house(self) -> Chores:
        """Remove expired edits, finished ids from queues, old inversions, and pictures without an edit."""
        expired = self._phase(self._expire)
        cleaned = self._phase(self._clean_lines)
        self._phase(self._expire_inversions)
        return Chores(expired, cleaned, self._phase(self._orphans.step))

    def _expire(self) -> tuple[str, ...]:
        return tuple(job_id for each in self._records.expired() for job_id in self._phase(partial(self._bury, each)))

    def _bury(self, expired: Expired) -> tuple[str, ...]:
        if expired.tenant is not None:
            self._store.delete_prefix(job_prefix(expired.tenant, expired.id))
        self._records.bury(expired.id)
        return (expired.id,)

    @redis_errors()
    def _clean_lines(self) -> tuple[str, ...]:
        """Remove finished edits from queues: left by a front end that died between a cancel and its removal from RQ."""
        if not self._turn(keys.LINES_CLEANED, LINE_SWEEP_S):
            return ()
        models = self._queue.models()
        return tuple(each for model in models for each in self._drop_finished(self._queue.waiting(model), model))

    @redis_errors()
    def _expire_inversions(self) -> tuple[str, ...]:
        """Remove expired inversions."""
        if not self._turn(keys.INVERSIONS_SWEPT, INVERSION_SWEEP_S):
            return ()
        removed = self._store.delete_older(INVERSIONS, self._settings.inversion_ttl_s)
        if removed:
            log.info("inversions removed", objects=removed)
        return ()


def main() -> None:
    """Sweep until SIGTERM or SIGINT."""
    settings = start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    redis = connect(settings)
    with suppress(QueueUnavailable):
        warn_unless_durable(redis)
    supervisor = Supervisor(settings.heartbeat_file)
    supervisor.starting()
    Reaper(redis, ObjectStore.from_settings(settings), settings).run(stop, supervisor.alive)


if __name__ == "__main__":
    refuse_arguments("worker.reaper", "Recovers lost jobs and removes what has expired, until SIGTERM or SIGINT.")
    main()
