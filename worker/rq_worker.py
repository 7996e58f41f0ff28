"""The RQ worker: dequeues without losing a job, and runs each attempt in place under a lease.

Reason for each override (RQ 3.0):

- its workers fork or start a Python per job, except `SimpleWorker`, which runs the job in place: the base class;
- a job popped just before a crash is lost, as when it waits on two queues: `dequeue_job_and_maintain_ttl` moves the id
  into a second list, and waits for a bell instead;
- its maintenance would requeue or fail jobs, which only our reaper may: `should_run_maintenance_tasks` is False;
- its timeout raises from a signal handler at any point, its success and failure handling writes a second record, and
  its `perform` imports the function that the job names: `execute_job` uses the id and nothing else;
- its signal handlers talk to Redis and raise: `request_stop` and `request_force_stop` set a flag;
- its loop quits at a short outage of Redis: `heartbeat`, `check_for_suspension` and `register_death` ignore it.
"""

from __future__ import annotations

import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import structlog
from redis import Redis
from rq import Queue
from rq.executions import Execution
from rq.job import Job
from rq.worker import SimpleWorker, WorkerStatus

from jobs.connection import redis_errors
from jobs.errors import QueueUnavailable, StoreUnavailable
from jobs.models import Models
from jobs.queue import JobQueue, model_of
from jobs.records.store import Records
from jobs.schema import PRIORITIES, Priority
from jobs.settings import Settings
from jobs.storage import ObjectStore
from magedit.errors import CheckpointError
from worker.attempt import AWAY_PAUSE_S, Attempts
from worker.heartbeat import Heartbeat
from worker.models.served_model import ServedModel
from worker.models.shelf import Shelf
from worker.progress import Reporter
from worker.telemetry import Observer

# Length of one blocking wait for work, in seconds: an idle worker notices a stop request, or work whose ring was lost,
# within this time.
WAIT_S = 1.0
# RQ's time to live of a worker without a sign of life, in seconds (it adds 60, and derives socket timeouts).
WORKER_TTL_S = 16
# How much longer an edit waits whose model must be loaded first, in seconds.
LOADED_START_S = 10.0

log = structlog.get_logger()


def unique_name() -> str:
    """A worker's name: host, process, random part (RQ refuses a name whose last owner was killed)."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class RqWorker(SimpleWorker):  # type: ignore[misc]
    """Processes one model's queue in this process, one edit at a time, until stopped.

    `work` announces the model and must run in the main thread (signals). ``done`` tells afterwards
    whether it was stopped, with a working model.
    """

    def __init__(
        self,
        redis: Redis,
        beat_redis: Redis,
        store: ObjectStore,
        served: ServedModel | Shelf,
        settings: Settings,
        observer: Observer | None = None,
    ) -> None:
        """``redis`` is the computing thread's client, ``beat_redis`` the heartbeat's own; ``observer`` sees the
        attempts."""
        self._shelf = Shelf.of(served)
        self._observer = observer or Observer(*self._shelf.names)
        self._store, self._settings = store, settings
        self._stop_requested: bool  # RQ's: the loop ends
        records = Records(redis, settings)
        self._edits = JobQueue(redis, records)
        self._models = Models(redis)
        self._orders: dict[str, str] | None = None
        self._attempts = Attempts(records, self._edits, self._models, store, self._shelf, settings)
        super().__init__(
            [self._edits.rq(name, priority) for name in self._shelf.names for priority in PRIORITIES],
            name=unique_name(),
            connection=redis,
            worker_ttl=WORKER_TTL_S,
            log_job_description=False,
        )
        self._current: tuple[Job, Execution] | None = None
        self._told_to_stop = self._broken = False
        self._beat_redis = beat_redis
        self._heart = Heartbeat(
            Records(beat_redis, settings), Models(beat_redis), self._shelf, self.name, settings, self._beat_for_rq
        )

    @property
    def done(self) -> bool:
        """Whether no replacement is needed. RQ's loop ends silently after any unknown error."""
        return self._told_to_stop and not self._broken

    # --- one edit ---

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Claim the edit, run it and commit, with every outcome in the record."""
        try:
            claim = self._attempts.claim(job.id, self.name, model_of(queue.name))
            if claim is None:
                return
            report = Reporter()
            self._heart.hold(claim, report)
            self._begin_for_rq(job)
            try:
                with self._observer.attempt(claim) as seen:
                    self._attempts.run(claim, report, seen)
            finally:
                self._heart.release()
                self._end_for_rq()
            if self._attempts.is_suspect:
                self._check_model(claim.model)
        except QueueUnavailable:
            log.warning("stopping while Redis is away: the reaper will requeue the current edit", job=job.id)

    def _check_model(self, name: str) -> None:
        """Probe the model after an unexpected error: some CUDA errors make every later edit of the process fail."""
        self._attempts.is_suspect = False
        try:
            # Loading has its own time (`worker.models.shelf.LOADING_S`).
            served = self._shelf.get(name)
            with self._heart.watching():
                served.probe()
        except Exception:
            log.exception("the model no longer works: this process ends")
            self._broken = True
            self._stop_requested = True

    def _await_storage(self) -> None:
        """After an attempt that failed because of storage, wait until it answers, to save the next edits' attempts.

        The wait is bounded, since every edit must end; they fail one by one if storage stays away.
        """
        give_up_at = time.monotonic() + self._settings.storage_patience_s
        while self._attempts.storage_failed and not self._stop_requested and time.monotonic() < give_up_at:
            try:
                self._store.ping()
                break
            except StoreUnavailable:
                log.warning("object storage is away: taking no work")
                time.sleep(AWAY_PAUSE_S)
        self._attempts.storage_failed = False

    # --- RQ's loop ---

    def dequeue_job_and_maintain_ttl(
        self,
        timeout: int | None,
        max_idle_time: int | None = None,  # noqa: ARG002 (RQ's signature)
    ) -> tuple[Job, Queue] | None:
        """Take the next id, `normal` priority first; wait if there is none. None: stop.

        It checks before waiting, so that queued ids need no ring, and after every wait, with or without a ring, so that
        a lost ring costs no more than one wait.
        """
        # The wait must end before the client's timeout.
        wait_s = min(WAIT_S, self._settings.redis_timeout_s / 2)
        while not self._stop_requested:
            self._await_storage()
            try:
                # Orders from before this worker's start do not apply to it.
                self._orders = self._models.orders() if self._orders is None else self._orders
                model, taken = self._take()
                if taken is None and timeout is not None:
                    self._carry_out_orders(self._orders)
                    self._edits.await_bell(self._shelf.names, wait_s)
                    continue
            except QueueUnavailable:
                log.warning("Redis is away: no work can be taken")
                time.sleep(AWAY_PAUSE_S)
                continue
            if taken is None:
                break
            job_id, priority = taken
            queue = self._edits.rq(model, priority)
            # Only the job's id is used: its other fields are never read, let alone called.
            job = self.job_class(job_id, connection=self.connection)
            job.origin, job.timeout = queue.name, -1
            return job, queue
        return None

    def _take(self) -> tuple[str, tuple[str, Priority] | None]:
        """The next id and its model: the longest waiting one, with a head start for loaded models."""
        names = self._shelf.names
        if len(names) > 1:
            since = self._edits.waiting_since(names)
            loaded = self._shelf.loaded
            names = tuple(sorted(since, key=lambda name: since[name] - (LOADED_START_S if name in loaded else 0.0)))
        for name in names:
            if (taken := self._edits.dequeue(name)) is not None:
                return name, taken
        return "", None

    def _carry_out_orders(self, before: Mapping[str, str]) -> None:
        """Load and unload models as ordered since ``before`` (`magedit models load`, `unload`)."""
        if len(self._shelf.names) == 1:
            return
        self._orders = self._models.orders()
        for name, order in self._orders.items():
            if name not in self._shelf.names or before.get(name) == order:
                continue
            try:
                if order.startswith("unload"):
                    self._shelf.unload(name)
                else:
                    self._shelf.get(name)
            except CheckpointError as error:
                log.error("the checkpoint cannot be loaded", model=name, reason=error.message)
            except Exception:
                # For example too little memory: a failed order is no reason to stop serving the other models.
                log.exception("an order of `magedit models` failed", model=name, order=order.partition(" ")[0])

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Never: only the reaper requeues."""
        return False

    def subscribe(self) -> None:
        """No command channel: RQ's commands cannot affect a worker that runs jobs in place."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 (a signal handler)
        """On SIGTERM or SIGINT finish the edit within the grace time, else hand it back; on the second at once."""
        grace_s = 0.0 if self._stop_requested else self._settings.stop_grace_s
        self._stop_requested = self._told_to_stop = True
        self._attempts.give_up_at = time.monotonic() + grace_s
        self._heart.stop_within(grace_s)

    def check_for_suspension(self, burst: bool) -> None:
        """`rq suspend` works; an outage of Redis does not end the loop."""
        self._ignore_outage(lambda: SimpleWorker.check_for_suspension(self, burst))

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ's own heartbeat of the loop."""
        self._ignore_outage(lambda: SimpleWorker.heartbeat(self, timeout, pipeline))

    def register_birth(self) -> None:
        """Enter RQ's list of workers and start the heartbeat."""
        super().register_birth()
        # RQ does this only afterwards: a signal in between would leave the announcement behind.
        self._install_signal_handlers()
        self._heart.start()

    def register_death(self) -> None:
        """Leave RQ's list of workers, after the last heartbeat, which would re-enter it."""
        self._heart.close()
        self._ignore_outage(lambda: SimpleWorker.register_death(self))

    def _ignore_outage(self, command: Callable[[], None]) -> None:
        try:
            with redis_errors():
                command()
        except QueueUnavailable:
            log.warning("Redis is away: RQ's list of workers is outdated")

    # --- for RQ's tools ---

    def _begin_for_rq(self, job: Job) -> None:
        def begin() -> None:
            self._current = (job, self.prepare_execution(job))

        self._ignore_outage(begin)

    def _end_for_rq(self) -> None:
        def end() -> None:
            if self._current is not None:
                job, execution = self._current
                self._current = None
                with self.connection.pipeline() as pipeline:
                    self.cleanup_execution(job, pipeline, execution)
                    pipeline.execute()
            self.set_state(WorkerStatus.IDLE)

        self._ignore_outage(end)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:  # noqa: ARG002 (RQ's signature)
        """How long RQ's tools show a silent edit as running, in seconds."""
        return math.ceil(2 * self._settings.lease_s)

    def _beat_for_rq(self) -> None:
        """Runs in the heartbeat's thread, with its connection."""
        with self._beat_redis.pipeline() as pipeline:
            pipeline.hset(self.key, mapping=self.serialize())
            pipeline.expire(self.key, math.ceil(self.worker_ttl + 60 + self._settings.lease_s))
            if (current := self._current) is not None:
                job, execution = current
                execution.heartbeat(job.started_job_registry, self.get_heartbeat_ttl(job), pipeline=pipeline)
            pipeline.execute()
