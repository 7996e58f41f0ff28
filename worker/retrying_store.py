"""Object storage that retries through an outage, so that an attempt keeps its computed results."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog

from jobs.errors import StoreUnavailable
from jobs.storage import ObjectStore
from worker.progress import Reporter

# Pause between retries, in seconds, on top of the store's own back-off.
PAUSE_S = 1.0

T = TypeVar("T")
log = structlog.get_logger()


class RetryingStore(ObjectStore):
    """Retries reads and writes for ``patience_s`` seconds while storage is away; stops early with its attempt.

    Raises StoreUnavailable after that time, and AttemptEnded as ``report`` does.
    """

    def __init__(self, store: ObjectStore, report: Reporter, patience_s: float) -> None:
        super().__init__(store.backend)
        self._report, self._patience_s = report, patience_s

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """As `ObjectStore.put`."""
        self._retry(partial(super().put, key, data, content_type))

    def get(self, key: str) -> bytes:
        """As `ObjectStore.get`."""
        return self._retry(partial(super().get, key))

    def _retry(self, request: Callable[[], T]) -> T:
        give_up_at: float | None = None
        while True:
            try:
                return request()
            except StoreUnavailable:
                now = time.monotonic()
                give_up_at = now + self._patience_s if give_up_at is None else give_up_at
                if now >= give_up_at:
                    raise
                log.warning("object storage is away: trying again")
                self._report.check()
                time.sleep(min(PAUSE_S, give_up_at - now))
                self._report.check()
