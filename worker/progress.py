"""Exchange between an edit and its heartbeat: progress one way, the order to stop the other. No I/O.

The computing thread never waits for Redis: it leaves its progress here and looks at a flag; the heartbeat
thread saves the one and sets the other.
"""

from __future__ import annotations

import threading
import time
from enum import StrEnum

from magedit.errors import EditCanceled
from magedit.report import Preview, Progress


class Stop(StrEnum):
    """Why an edit is to stop."""

    CANCELED = "canceled"
    CLAIM_LOST = "claim lost"
    HANDED_BACK = "handed back"


class AttemptEnded(EditCanceled):
    """Raised inside the edit to end it; ``reason`` says what becomes of it."""

    def __init__(self, reason: Stop) -> None:
        super().__init__(f"the edit was stopped: {reason}")
        self.reason = reason


class Reporter:
    """What one attempt's edit calls at every denoising step and guidance update."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._news: Progress | None = None
        self._last: Progress | None = None
        self._preview: Preview | None = None
        self._stop: Stop | None = None
        self._alive = time.monotonic()
        self._before, self._part = 0.0, 1.0

    def __call__(self, progress: Progress) -> None:
        """Take a step's progress. Raises AttemptEnded if the edit is to stop."""
        scaled = Progress(
            stage=progress.stage,
            step=progress.step,
            steps=progress.steps,
            fraction=self._before + self._part * progress.fraction,
        )
        with self._lock:
            self._news = self._last = scaled
        self.check()

    def share(self, before: float, part: float) -> None:
        """From here on, progress 0..1 means ``before`` .. ``before + part`` of the attempt."""
        self._before, self._part = before, part

    def alive(self) -> None:
        """Say that the attempt lives, for the watchdog."""
        self._alive = time.monotonic()

    def check(self) -> None:
        """Say that the attempt lives. Raises AttemptEnded if it is to stop."""
        self.alive()
        if self._stop is not None:
            raise AttemptEnded(self._stop)

    def stop(self, reason: Stop) -> None:
        """Let the edit end at its next step. The first reason holds."""
        with self._lock:
            self._stop = self._stop or reason

    def news(self) -> Progress | None:
        """The newest progress, once."""
        with self._lock:
            news, self._news = self._news, None
        return news

    def show(self, preview: Preview) -> None:
        """Take a preview."""
        with self._lock:
            self._preview = preview

    def preview(self) -> Preview | None:
        """The newest preview, once."""
        with self._lock:
            preview, self._preview = self._preview, None
        return preview

    @property
    def last(self) -> Progress | None:
        """The newest progress, told or not; None before the first."""
        return self._last

    @property
    def silence_s(self) -> float:
        """Seconds since the attempt last gave a sign of life."""
        return time.monotonic() - self._alive
