"""One attempt at an edit: claim, run, then commit or hand back, with every outcome in the record."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from jobs.errors import ContentWithheld, QueueUnavailable, StoreUnavailable
from jobs.models import Models
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.schema import JobRecord, MaskRecord, State
from jobs.settings import Settings
from jobs.storage import ObjectStore, attempt_prefix
from magedit.errors import MAGEditError, NoFinder
from magedit.measures.meter import relative_work
from magedit.measures.report import EditMeasures
from worker.models.served_model import ServedModel
from worker.models.shelf import Shelf
from worker.problems import problem_of
from worker.progress import AttemptEnded, Reporter, Stop
from worker.retrying_store import RetryingStore
from worker.tasks import edit, masks
from worker.tasks.inversion_cache import Inversions
from worker.telemetry import HANDED_BACK, AttemptTelemetry

AWAY_PAUSE_S = 1.0
"""Pause between retries while Redis or storage is away, in seconds."""

T = TypeVar("T")
Ended = tuple[State | None, EditMeasures | None]
"""The state that a commit made, None if the claim was lost, and the measures of an edit."""
log = structlog.get_logger()


class Attempts:
    """Runs claimed edits with one model."""

    def __init__(
        self,
        records: Records,
        queue: JobQueue,
        models: Models,
        store: ObjectStore,
        served: ServedModel | Shelf,
        settings: Settings,
    ) -> None:
        self._records, self._queue, self._models = records, queue, models
        self._store, self._shelf, self._settings = store, Shelf.of(served), settings
        self.give_up_at: float | None = None
        """Deadline of a stopping worker's wait for Redis (monotonic seconds)."""
        self.storage_failed = False
        """Whether the last attempt ended because storage was away."""
        self.is_suspect = False
        """Whether the last attempt ended in an error that may have broken the model."""

    def claim(self, job_id: str, worker: str, model: str) -> JobRecord | None:
        """Claim the edit for this worker; None: nothing to do for this id.

        Raises:
            QueueUnavailable: Redis is away, and the worker is stopping.
        """
        try:
            claim = self.insist(lambda: self._records.claim(job_id, worker))
        except ValueError:
            # Its lease expires and the attempt counts: a worker of another version may read it, or the attempt limit
            # ends it.
            log.exception("record not readable: another version's?", job=job_id)
            return None
        if claim is None:
            log.info("nothing to do for this id", job=job_id)
            self.insist(lambda: self._queue.remove_id(job_id, model))
        return claim

    def run(self, claim: JobRecord, report: Reporter, seen: AttemptTelemetry) -> None:
        """Run the claimed edit or mask and commit its outcome, which is also reported to ``seen``."""
        log.info(f"{claim.kind} started")
        started = time.monotonic()
        store = RetryingStore(self._store, report, self._settings.storage_patience_s)
        try:
            served = self._shelf.get(claim.model)
            finish = (
                self._find(claim, served, store, report)
                if isinstance(claim, MaskRecord)
                else self._edit(claim, served, store, report)
            )
        except AttemptEnded as ended:
            log.info(f"{claim.kind} stopped", reason=ended.reason)
            self._stopped(claim, ended.reason, report, seen)
            return
        except Exception as error:
            if isinstance(error, StoreUnavailable):
                log.warning("edit could not reach object storage", patience_s=self._settings.storage_patience_s)
                self.storage_failed = True
                if claim.attempt - claim.handed_back < self._settings.max_attempts:
                    # Another worker or a later attempt may succeed, within the attempt limit.
                    self.insist(lambda: self._queue.hand_back(claim, counts=True), report)
                    seen.outcome = HANDED_BACK
                    return
            elif isinstance(error, MAGEditError | ContentWithheld):
                log.info(f"{claim.kind} failed", code=error.code, detail=error.message)
            else:
                log.exception(f"{claim.kind} failed")
                self.is_suspect = True
            problem = problem_of(error)
            state = self.insist(lambda: self._records.commit_failure(claim, problem), report)
            seen.ended(state)
        else:
            state, measures = self.insist(finish, report)
            seen.ended(state, measures if state is State.SUCCEEDED else None)
        seconds = time.monotonic() - started
        log.info(f"{claim.kind} ended", state=state or "stale", seconds=round(seconds, 3))
        self._settle(claim, state)
        if state is State.SUCCEEDED and not isinstance(claim, MaskRecord):
            pace = seconds / sum(config.steps * relative_work(config) for config in claim.request.configs)
            self.insist(lambda: self._models.keep_pace(claim.model, pace), report)

    def _edit(
        self, claim: JobRecord, served: ServedModel, store: RetryingStore, report: Reporter
    ) -> Callable[[], Ended]:
        """Carry out an edit; returns the commit."""
        withhold = self._settings.safety == "withhold"
        finished = edit.run(
            claim,
            served.editor,
            store,
            report,
            self._inversions(served),
            finder=served.finder,
            withhold=withhold,
            # Previews must not show what may be withheld in the end.
            previews=self._settings.preview_interval_s > 0 and not withhold,
            thresholds=edit.thresholds_of(self._settings),
        )

        def commit() -> Ended:
            made = finished.measures, finished.results, finished.artifacts
            state = self._records.commit_success(claim, *made, report.last, finished.assessment)
            return state, finished.measures

        return commit

    def _find(
        self, claim: MaskRecord, served: ServedModel, store: RetryingStore, report: Reporter
    ) -> Callable[[], Ended]:
        """Find a mask; returns the commit."""
        if served.finder is None:
            raise NoFinder(
                f"model {claim.model!r} cannot locate things by `{claim.request.needs}`", field=claim.request.needs
            )
        found = masks.run(claim, served.finder, store, report)
        return lambda: (self._records.commit_mask(claim, found.candidates, found.found_by, found.results), None)

    def _inversions(self, served: ServedModel) -> Inversions | None:
        if served.fingerprint is None or self._settings.inversion_ttl_s <= 0:
            return None
        # The bare store, which gives up soon: no edit waits for what it can compute itself.
        return Inversions(
            store=self._store,
            info=served.info,
            fingerprint=served.fingerprint,
            lora_dir=self._settings.lora_dir,
        )

    def _stopped(self, claim: JobRecord, reason: Stop, report: Reporter, seen: AttemptTelemetry) -> None:
        if reason is Stop.HANDED_BACK:
            self.insist(lambda: self._queue.hand_back(claim), report)
            seen.outcome = HANDED_BACK
            self._discard(claim, claim.attempt)
            return
        state = None
        if reason is Stop.CANCELED:
            state = self.insist(lambda: self._records.commit_canceled(claim), report)
        seen.ended(state)
        self._settle(claim, state)

    def _settle(self, claim: JobRecord, state: State | None) -> None:
        """After the commit, remove the edit from RQ and objects without a record from storage."""
        if state is not State.SUCCEEDED:
            self._discard(claim, claim.attempt)
        if state is None:
            return
        for attempt in range(1, claim.attempt):
            self._discard(claim, attempt)
        self.insist(lambda: self._queue.remove(claim))

    def _discard(self, claim: JobRecord, attempt: int) -> None:
        try:
            self._store.delete_prefix(attempt_prefix(claim, attempt))
        except StoreUnavailable:
            log.warning("objects of a dead attempt remain until the edit expires", job=claim.id, attempt=attempt)

    def insist(self, command: Callable[[], T], report: Reporter | None = None) -> T:
        """Retry a (repeatable) command as long as Redis is away.

        Raises:
            QueueUnavailable: the worker is stopping and its grace time is over.
        """
        while True:
            try:
                return command()
            except QueueUnavailable:
                if self.give_up_at is not None and time.monotonic() >= self.give_up_at:
                    raise
                log.warning("Redis is away: trying again")
                if report is not None:
                    report.alive()
                time.sleep(AWAY_PAUSE_S)
