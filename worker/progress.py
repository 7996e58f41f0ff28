"""Exchange between an edit and its heartbeat: progress in one direction, stop requests in the other. No I/O.

The computing thread never waits for Redis: it leaves its progress here and checks a flag; the heartbeat thread saves
the progress and sets the flag.
"""

from __future__ import annotations

import threading
import time
from enum import StrEnum

from magedit.errors import EditCanceled
from magedit.measures.report import EditWarning, Preview, Progress


class Stop(StrEnum):
    """Reason to stop an edit."""

    CANCELED = "canceled"
    CLAIM_LOST = "claim lost"
    HANDED_BACK = "handed back"


class AttemptEnded(EditCanceled):
    """Raised inside the edit to end it; ``reason`` decides what happens to it."""

    def __init__(self, reason: Stop) -> None:
        super().__init__(f"the edit was stopped: {reason}")
        self.reason = reason


class Reporter:
    """Callback of one attempt's edit, called at every denoising step and guidance update."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._news: Progress | None = None
        self._last: Progress | None = None
        self._preview: Preview | None = None
        self._warnings: tuple[EditWarning, ...] = ()
        self._warned = 0
        self._stop: Stop | None = None
        self._alive = time.monotonic()
        self._before, self._part = 0.0, 1.0

    def __call__(self, progress: Progress) -> None:
        """Record a step's progress. Raises AttemptEnded if the edit must stop."""
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
        """From now on, progress 0..1 means ``before`` .. ``before + part`` of the attempt."""
        self._before, self._part = before, part

    def alive(self) -> None:
        """Tell the watchdog that the attempt is alive."""
        self._alive = time.monotonic()

    def check(self) -> None:
        """Tell the watchdog that the attempt is alive. Raises AttemptEnded if it must stop."""
        self.alive()
        if self._stop is not None:
            raise AttemptEnded(self._stop)

    def stop(self, reason: Stop) -> None:
        """Make the edit end at its next step. The first reason counts."""
        with self._lock:
            self._stop = self._stop or reason

    def news(self) -> Progress | None:
        """The latest progress, if not yet taken."""
        with self._lock:
            news, self._news = self._news, None
        return news

    def show(self, preview: Preview) -> None:
        """Record a preview."""
        with self._lock:
            self._preview = preview

    def preview(self) -> Preview | None:
        """The latest preview, if not yet taken."""
        with self._lock:
            preview, self._preview = self._preview, None
        return preview

    def warn(self, warning: EditWarning) -> None:
        """Add a warning about the running edit; each code once."""
        with self._lock:
            if warning.code not in {each.code for each in self._warnings}:
                self._warnings = (*self._warnings, warning)

    @property
    def warnings(self) -> tuple[EditWarning, ...]:
        """The warnings about the running edit."""
        return self._warnings

    def new_warnings(self) -> tuple[EditWarning, ...]:
        """All warnings if there is a new one, once; else none."""
        with self._lock:
            if len(self._warnings) == self._warned:
                return ()
            self._warned = len(self._warnings)
            return self._warnings

    def take_back(self, news: Progress | None, preview: Preview | None, *, has_warnings: bool) -> None:
        """Put back updates that could not be sent; newer progress and previews take precedence."""
        with self._lock:
            self._news, self._preview = self._news or news, self._preview or preview
            if has_warnings:
                self._warned = 0

    @property
    def last(self) -> Progress | None:
        """The latest progress, taken or not; None before the first."""
        return self._last

    @property
    def silence_s(self) -> float:
        """Seconds since the attempt's last sign of life."""
        return time.monotonic() - self._alive
