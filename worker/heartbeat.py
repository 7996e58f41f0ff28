"""The heartbeat thread: announces the model, renews the lease, saves progress, fetches stop requests.

It is also the watchdog: a process can be alive while its computation hangs, so an edit without a sign of life for too
long ends the process, and its lease expires. Conversely, a supervisor that hears nothing from this thread for too long
considers the whole process hung.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import structlog

from jobs.connection import redis_errors
from jobs.errors import QueueUnavailable
from jobs.models import Models
from jobs.records.outcomes import Hold
from jobs.records.previews import EditPreview
from jobs.records.store import Records
from jobs.schema import JobRecord
from jobs.settings import Settings
from jobs.storage import longest_request_s
from magedit.measures.report import Preview
from worker.models.served_model import ServedModel
from worker.models.shelf import LOADING_S, Shelf
from worker.progress import Reporter, Stop
from worker.sd_notify import Supervisor

# Exit status that asks the supervisor for a new process (sysexits.h, EX_TEMPFAIL).
EXIT_RESTART = 75
# Renewals per lease, so that two may be lost.
BEATS_A_LEASE = 3
PREVIEW_QUALITY = 80
"""JPEG quality of a preview."""

log = structlog.get_logger()


def encoded(preview: Preview) -> EditPreview:
    """A preview in its stored form; encoded here, so that the computing thread does not wait for it."""
    image = BytesIO()
    preview.picture.save(image, "JPEG", quality=PREVIEW_QUALITY)
    return EditPreview(image=image.getvalue(), result=preview.result, step=preview.step, steps=preview.steps)


class Heartbeat:
    """Beats until `close`. ``also`` is called at each lease renewal and each announcement."""

    def __init__(
        self,
        records: Records,
        models: Models,
        served: ServedModel | Shelf,
        worker: str,
        settings: Settings,
        also: Callable[[], None],
    ) -> None:
        self._records, self._models, self._shelf = records, models, Shelf.of(served)
        self._worker, self._settings, self._also = worker, settings, also
        self._period_s = settings.lease_s / BEATS_A_LEASE
        # An attempt that waits for storage is silent without hanging.
        self._silence_s = max(settings.watchdog_s, longest_request_s(settings) if settings.storage_url else 0.0)
        self._lock = threading.Lock()
        self._held: tuple[JobRecord, Reporter] | None = None
        self._watched_since: float | None = None
        self._renewed = 0.0
        self._announced = -self._period_s
        self._give_up_at: float | None = None
        self._supervisor = Supervisor(settings.heartbeat_file)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Announce the model and start beating."""
        # Before the announcement, so that the supervisor watches every worker that serves.
        self._supervisor.ready()
        try:
            self._announce()
        except QueueUnavailable:
            log.warning("not announced yet: Redis is away")
        self._thread.start()

    def hold(self, claim: JobRecord, report: Reporter) -> None:
        """Take charge of a freshly claimed edit."""
        with self._lock:
            self._held, self._renewed = (claim, report), time.monotonic()

    def release(self) -> None:
        """Let go of the edit, after any renewal in progress."""
        with self._lock:
            self._held = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch a computation other than an edit, without steps: the watchdog's timeout applies to all of it."""
        self._watched_since = time.monotonic()
        try:
            yield
        finally:
            self._watched_since = None

    def stop_within(self, grace_s: float) -> None:
        """Hand the current edit back unless it finishes within ``grace_s`` seconds."""
        self._give_up_at = time.monotonic() + grace_s

    def close(self) -> None:
        """Stop beating and withdraw the announcement."""
        self._closed.set()
        self._thread.join()
        try:
            for each in self._shelf.described:
                self._models.withdraw(each.info, self._worker)
        except QueueUnavailable:
            log.warning("announcement not withdrawn: it expires by itself")

    def _run(self) -> None:
        while not self._closed.wait(max(0.01, min(self._settings.progress_interval_s, self._period_s))):
            self._supervisor.alive()
            try:
                self._beat()
            except QueueUnavailable:
                log.warning("heartbeat missed: Redis is away")
            except Exception:
                # Without a heartbeat this process must not continue.
                log.exception("heartbeat failed")
                os._exit(EXIT_RESTART)

    def _beat(self) -> None:
        now = time.monotonic()
        loading_since, since = self._shelf.loading_since, self._watched_since
        if loading_since is not None and now - loading_since > LOADING_S:
            log.error("watchdog: the checkpoint does not load, ending the process", loading_s=now - loading_since)
            os._exit(EXIT_RESTART)
        if since is not None and now - since > self._settings.watchdog_s:
            log.error("watchdog: the model does not answer, ending the process", silence_s=now - since)
            os._exit(EXIT_RESTART)
        with self._lock:
            if self._held is not None:
                if loading_since is not None:
                    # An attempt that waits for its checkpoint is silent without hanging.
                    self._held[1].alive()
                self._look_after(*self._held, now)
        if now - self._announced >= self._period_s:
            self._announce()

    def _announce(self) -> None:
        for info, tokenizer_json in self._shelf.described:
            self._models.announce(
                info,
                self._worker,
                self._settings.lease_s,
                tokenizer_json,
                declare=self._settings.declare_model,
            )
        with redis_errors():
            self._also()
        self._announced = time.monotonic()

    def _look_after(self, claim: JobRecord, report: Reporter, now: float) -> None:
        if report.silence_s > self._silence_s:
            log.error("watchdog: no step in time, ending the process", job=claim.id, silence_s=report.silence_s)
            os._exit(EXIT_RESTART)
        if self._give_up_at is not None and now >= self._give_up_at:
            report.stop(Stop.HANDED_BACK)
        news, preview, warnings = report.news(), report.preview(), report.new_warnings()
        if news is None and preview is None and not warnings and now - self._renewed < self._period_s:
            return
        try:
            hold = self._records.renew(claim, news, None if preview is None else encoded(preview), warnings)
        except QueueUnavailable:
            report.take_back(news, preview, has_warnings=bool(warnings))
            raise
        self._renewed = now
        if hold is Hold.CANCEL:
            report.stop(Stop.CANCELED)
        elif hold is Hold.LOST:
            report.stop(Stop.CLAIM_LOST)
