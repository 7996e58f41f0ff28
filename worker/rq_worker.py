"""The RQ worker: dequeues without losing a job, and runs each attempt in place under a lease.

Why each override is here (RQ 3.0):

- its workers fork or start a Python per job, except `SimpleWorker`, which runs the job in place: the base;
- a job popped just before a crash is lost, and waiting on two queues does just that: `dequeue_job_and_maintain_ttl`
  moves the id into a second list, and waits for a bell instead;
- its maintenance would requeue or fail what only our reaper may: `should_run_maintenance_tasks` is False;
- its timeout raises from a signal handler in the middle of anything, its success and failure handling writes
  a second truth, and its `perform` imports what the job names: `execute_job` uses the id and nothing else;
- its signal handlers talk to Redis and raise: `request_stop` and `request_force_stop` set a flag;
- its loop quits when Redis blinks: `heartbeat`, `check_for_suspension` and `register_death` shrug.
"""

from __future__ import annotations

import math
import os
import secrets
import socket
import time
from collections.abc import Callable
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
from jobs.queue import JobQueue
from jobs.records import Records
from jobs.schema import PRIORITIES
from jobs.settings import Settings
from jobs.storage import ObjectStore
from worker.attempt import AWAY_PAUSE_S, Attempts
from worker.heartbeat import Heartbeat
from worker.model import ServedModel
from worker.progress import Reporter
from worker.telemetry import Observer

# How long one blocking wait for work lasts, in seconds: so soon an idle worker notices that it is to stop, and work
# for which nobody rang.
WAIT_S = 1.0
# RQ's time to live of a worker without a sign of life, in seconds (it adds 60, and derives socket timeouts).
WORKER_TTL_S = 16

log = structlog.get_logger()


def unique_name() -> str:
    """A worker's name: host, process, random part (RQ refuses a name whose last bearer was killed)."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class RqWorker(SimpleWorker):  # type: ignore[misc]
    """Works off one model's queue in this process, one edit at a time, until it is told to stop.

    `work` announces the model and must run in the main thread (signals). ``done`` says, afterwards, that it ended
    because it was told to, with a model that works.
    """

    def __init__(
        self,
        redis: Redis,
        beat_redis: Redis,
        store: ObjectStore,
        served: ServedModel,
        settings: Settings,
        observer: Observer | None = None,
    ) -> None:
        """``redis`` is the computing thread's client, ``beat_redis`` the heartbeat's own; ``observer`` sees the
        attempts."""
        self._observer = observer or Observer(served.info.name)
        self._store, self._served, self._settings = store, served, settings
        self._stop_requested: bool  # RQ's: the loop ends
        records = Records(redis, settings)
        self._edits = JobQueue(redis, records)
        self._attempts = Attempts(records, self._edits, Models(redis), store, served, settings)
        super().__init__(
            [self._edits.rq(served.info.name, priority) for priority in PRIORITIES],
            name=unique_name(),
            connection=redis,
            worker_ttl=WORKER_TTL_S,
            log_job_description=False,
        )
        self._current: tuple[Job, Execution] | None = None
        self._told_to_stop = self._broken = False
        self._beat_redis = beat_redis
        self._heart = Heartbeat(
            Records(beat_redis, settings), Models(beat_redis), served, self.name, settings, self._beat_for_rq
        )

    @property
    def done(self) -> bool:
        """Whether nobody is needed in its place. RQ's loop ends without an error after any that it does not know."""
        return self._told_to_stop and not self._broken

    # --- one edit ---

    def execute_job(self, job: Job, queue: Queue) -> None:  # noqa: ARG002 (RQ's signature)
        """Claim the edit, carry it out and commit, with every outcome in its record."""
        try:
            claim = self._attempts.claim(job.id, self.name)
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
                self._check_model()
        except QueueUnavailable:
            log.warning("stopping while Redis is away: the reaper will requeue what was in hand", job=job.id)

    def _check_model(self) -> None:
        """After an error that nobody foresaw: some (of CUDA) leave a process in which every later edit fails."""
        self._attempts.is_suspect = False
        try:
            with self._heart.watching():
                self._served.probe()
        except Exception:
            log.exception("the model no longer works: this process ends")
            self._broken = True
            self._stop_requested = True

    def _await_storage(self) -> None:
        """After an attempt that storage failed: return when it answers, lest the next edits waste their attempts too.

        Not for ever, for every edit is to end; they fail one by one if it stays away.
        """
        give_up_at = time.monotonic() + self._settings.storage_patience_s
        while self._attempts.storage_failed and not self._stop_requested and time.monotonic() < give_up_at:
            try:
                self._store.ping()
                break
            except StoreUnavailable:
                log.warning("object storage is away: no work is taken")
                time.sleep(AWAY_PAUSE_S)
        self._attempts.storage_failed = False

    # --- RQ's loop ---

    def dequeue_job_and_maintain_ttl(
        self,
        timeout: int | None,
        max_idle_time: int | None = None,  # noqa: ARG002 (RQ's signature)
    ) -> tuple[Job, Queue] | None:
        """Take the next id, `normal` ones first; wait for one if there is none. None: stop.

        Looking comes before waiting, so that no ring is needed for what is in line already; and after it, whether or
        not somebody rang, so that a ring that was lost costs no more than the wait.
        """
        model = self._served.info.name
        # The wait must end before the client takes the server for dead.
        wait_s = min(WAIT_S, self._settings.redis_timeout_s / 2)
        while not self._stop_requested:
            self._await_storage()
            try:
                taken = self._edits.dequeue(model)
                if taken is None and timeout is not None:
                    self._edits.await_bell(model, wait_s)
                    continue
            except QueueUnavailable:
                log.warning("Redis is away: no work can be taken")
                time.sleep(AWAY_PAUSE_S)
                continue
            if taken is None:
                break
            job_id, priority = taken
            queue = self._edits.rq(model, priority)
            # The id is all that is used of the job: its other fields are never read, let alone called.
            job = self.job_class(job_id, connection=self.connection)
            job.origin, job.timeout = queue.name, -1
            return job, queue
        return None

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Never: the reaper is the only one that requeues."""
        return False

    def subscribe(self) -> None:
        """No command channel: RQ's commands do nothing to a worker that computes in place."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 (a signal handler)
        """SIGTERM, SIGINT: finish the edit within the grace time, else hand it back; the second: at once."""
        grace_s = 0.0 if self._stop_requested else self._settings.stop_grace_s
        self._stop_requested = self._told_to_stop = True
        self._attempts.give_up_at = time.monotonic() + grace_s
        self._heart.stop_within(grace_s)

    def check_for_suspension(self, burst: bool) -> None:
        """`rq suspend` works; Redis being away is not a reason to quit."""
        self._shrug(lambda: SimpleWorker.check_for_suspension(self, burst))

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ's own heartbeat, which says that the loop is alive."""
        self._shrug(lambda: SimpleWorker.heartbeat(self, timeout, pipeline))

    def register_birth(self) -> None:
        """Enter RQ's list of workers; from here on the heart beats."""
        super().register_birth()
        # RQ does so only afterwards: a signal in between would end this worker with its announcement left behind.
        self._install_signal_handlers()
        self._heart.start()

    def register_death(self) -> None:
        """Leave RQ's list of workers, after the last heartbeat, which would enter it again."""
        self._heart.close()
        self._shrug(lambda: SimpleWorker.register_death(self))

    def _shrug(self, command: Callable[[], None]) -> None:
        try:
            with redis_errors():
                command()
        except QueueUnavailable:
            log.warning("Redis is away: RQ's list of workers is out of date")

    # --- what RQ's tools show ---

    def _begin_for_rq(self, job: Job) -> None:
        def begin() -> None:
            self._current = (job, self.prepare_execution(job))

        self._shrug(begin)

    def _end_for_rq(self) -> None:
        def end() -> None:
            if self._current is not None:
                job, execution = self._current
                self._current = None
                with self.connection.pipeline() as pipeline:
                    self.cleanup_execution(job, pipeline, execution)
                    pipeline.execute()
            self.set_state(WorkerStatus.IDLE)

        self._shrug(end)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:  # noqa: ARG002 (RQ's signature)
        """How long RQ's tools show an edit as running without a sign of life, in seconds."""
        return math.ceil(2 * self._settings.lease_s)

    def _beat_for_rq(self) -> None:
        """In the heartbeat's thread, with its connection."""
        with self._beat_redis.pipeline() as pipeline:
            pipeline.hset(self.key, mapping=self.serialize())
            pipeline.expire(self.key, math.ceil(self.worker_ttl + 60 + self._settings.lease_s))
            if (current := self._current) is not None:
                job, execution = current
                execution.heartbeat(job.started_job_registry, self.get_heartbeat_ttl(job), pipeline=pipeline)
            pipeline.execute()
