"""The RQ worker, with leases, fences and hand-back around each attempt.

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
from typing import Any, TypeVar

import structlog
from redis import Redis
from rq import Queue
from rq.executions import Execution
from rq.job import Job
from rq.worker import SimpleWorker, WorkerStatus

from jobs.connection import redis_errors
from jobs.errors import ContentWithheld, QueueUnavailable, StoreUnavailable
from jobs.models import Models
from jobs.queue import JobQueue
from jobs.records import Records
from jobs.schema import PRIORITIES, JobRecord, State
from jobs.settings import Settings
from jobs.storage import ObjectStore, attempt_prefix
from magedit.errors import MAGEditError
from magedit.meter import relative_work
from worker import edit
from worker.heartbeat import Heartbeat
from worker.inversion_cache import Inversions
from worker.model import ServedModel
from worker.problems import problem_of
from worker.progress import AttemptEnded, Reporter, Stop
from worker.retrying_store import PatientStore
from worker.telemetry import HANDED_BACK, AttemptTelemetry, Observer

# How long one blocking wait for work lasts, in seconds: so soon an idle worker notices that it is to stop, and work
# for which nobody rang.
WAIT_S = 1.0
# RQ's time to live of a worker without a sign of life, in seconds (it adds 60, and derives socket timeouts).
WORKER_TTL_S = 16
# Pause before a command is tried again while Redis is away, in seconds.
AWAY_PAUSE_S = 1.0

T = TypeVar("T")
log = structlog.get_logger()


def unique_name() -> str:
    """A worker's name: host, process, random part (RQ refuses a name whose last bearer was killed)."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class GpuWorker(SimpleWorker):  # type: ignore[misc]
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
        self._inversions = None
        if served.fingerprint is not None and settings.inversion_ttl_s > 0:
            # With the store itself, which gives up soon: an edit does not wait for what it can compute.
            self._inversions = Inversions(store=store, info=served.info, fingerprint=served.fingerprint)
        self._stop_requested: bool  # RQ's: the loop ends
        self._records = Records(redis, settings)
        self._models = Models(redis)
        self._edits = JobQueue(redis, self._records)
        super().__init__(
            [self._edits.rq(served.info.name, priority) for priority in PRIORITIES],
            name=unique_name(),
            connection=redis,
            worker_ttl=WORKER_TTL_S,
            log_job_description=False,
        )
        self._current: tuple[Job, Execution] | None = None
        self._give_up_at: float | None = None
        self._suspect = False
        self._storage_failed = False
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
            try:
                claim = self._insist(lambda: self._records.claim(job.id, self.name))
            except ValueError:
                # Its lease runs out, and the attempt counts: another version's worker may read it, and else the limit
                # of attempts ends it.
                log.exception("record not readable: another version's?", job=job.id)
                return
            if claim is None:
                log.info("nothing to do for this id", job=job.id)
                self._insist(lambda: self._edits.remove_id(job.id, self._served.info.name))
                return
            report = Reporter()
            self._heart.hold(claim, report)
            self._begin_for_rq(job)
            try:
                with self._observer.attempt(claim) as seen:
                    self._attempt(claim, report, seen)
            finally:
                self._heart.release()
                self._end_for_rq()
            if self._suspect:
                self._check_model()
        except QueueUnavailable:
            log.warning("stopping while Redis is away: the reaper will requeue what was in hand", job=job.id)

    def _attempt(self, claim: JobRecord, report: Reporter, seen: AttemptTelemetry) -> None:
        log.info("edit started")
        started = time.monotonic()
        store = PatientStore(self._store, report, self._settings.storage_patience_s)
        try:
            withhold = self._settings.safety == "withhold"
            finished = edit.run(claim, self._served.editor, store, report, self._inversions, withhold=withhold)
        except AttemptEnded as ended:
            log.info("edit stopped", reason=ended.reason)
            self._stopped(claim, ended.reason, report, seen)
            return
        except Exception as error:
            if isinstance(error, StoreUnavailable):
                log.warning("edit could not reach object storage", patience_s=self._settings.storage_patience_s)
                self._storage_failed = True
                if claim.attempt - claim.handed_back < self._settings.max_attempts:
                    # Another worker, or a later time, may have more luck: so often, an edit may begin.
                    self._insist(lambda: self._edits.hand_back(claim, counts=True), report)
                    seen.outcome = HANDED_BACK
                    return
            elif isinstance(error, MAGEditError | ContentWithheld):
                log.info("edit failed", code=error.code, detail=error.message)
            else:
                log.exception("edit failed")
                self._suspect = True
            problem = problem_of(error)
            state = self._insist(lambda: self._records.commit_failure(claim, problem), report)
            seen.ended(state)
        else:
            state = self._insist(
                lambda: self._records.commit_success(
                    claim, finished.measures, finished.results, finished.artifacts, report.last
                ),
                report,
            )
            seen.ended(state, finished.measures if state is State.SUCCEEDED else None)
        seconds = time.monotonic() - started
        log.info("edit ended", state=state or "stale", seconds=round(seconds, 3))
        self._settle(claim, state)
        if state is State.SUCCEEDED:
            pace = seconds / sum(config.steps * relative_work(config) for config in claim.request.configs)
            self._insist(lambda: self._models.keep_pace(claim.model, pace), report)

    def _stopped(self, claim: JobRecord, reason: Stop, report: Reporter, seen: AttemptTelemetry) -> None:
        if reason is Stop.HANDED_BACK:
            self._insist(lambda: self._edits.hand_back(claim), report)
            seen.outcome = HANDED_BACK
            self._discard(claim, claim.attempt)
            return
        state = None
        if reason is Stop.CANCELED:
            state = self._insist(lambda: self._records.commit_canceled(claim), report)
        seen.ended(state)
        self._settle(claim, state)

    def _settle(self, claim: JobRecord, state: State | None) -> None:
        """After the commit: the edit leaves RQ, and what no record names leaves storage."""
        if state is not State.SUCCEEDED:
            self._discard(claim, claim.attempt)
        if state is None:
            return
        for attempt in range(1, claim.attempt):
            self._discard(claim, attempt)
        self._insist(lambda: self._edits.remove(claim))

    def _discard(self, claim: JobRecord, attempt: int) -> None:
        try:
            self._store.delete_prefix(attempt_prefix(claim, attempt))
        except StoreUnavailable:
            log.warning("objects of a dead attempt stay until the edit expires", job=claim.id, attempt=attempt)

    def _check_model(self) -> None:
        """After an error that nobody foresaw: some (of CUDA) leave a process in which every later edit fails."""
        self._suspect = False
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
        while self._storage_failed and not self._stop_requested and time.monotonic() < give_up_at:
            try:
                self._store.ping()
                break
            except StoreUnavailable:
                log.warning("object storage is away: no work is taken")
                time.sleep(AWAY_PAUSE_S)
        self._storage_failed = False

    def _insist(self, command: Callable[[], T], report: Reporter | None = None) -> T:
        """Repeat a (repeatable) command for as long as Redis is away: there is nothing else to do meanwhile.

        Raises:
            QueueUnavailable: the worker is to stop and its grace time is over.
        """
        while True:
            try:
                return command()
            except QueueUnavailable:
                if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
                    raise
                log.warning("Redis is away: trying again")
                if report is not None:
                    report.alive()
                time.sleep(AWAY_PAUSE_S)

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
        self._give_up_at = time.monotonic() + grace_s
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
