"""Signs of life for a supervisor, by sd_notify(3) and sd_watchdog_enabled(3), and for probes, by a file.

A supervisor passes `NOTIFY_SOCKET` (a unix datagram socket) and `WATCHDOG_USEC` (the longest silence, in
microseconds): `magedit worker` and `magedit up` do, and systemd with `WatchdogSec=`. Without them nothing is sent. A
container's liveness probe checks the age of a file instead (`worker.alive`).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from jobs.connection import longest_command_s
from jobs.settings import Settings

# Messages per allowed silence, so that some may be late.
MESSAGES_A_SILENCE = 4

TOUCH_S = 5.0
"""Shortest time between two touches of the heartbeat file, in seconds."""

SILENCE_MIN_S = 30.0
"""Minimum of the allowed silence, in seconds, however short the Redis timeout is."""


def silence_s(settings: Settings) -> float:
    """Longest allowed silence of a process, in seconds: twice the longest Redis command."""
    return max(SILENCE_MIN_S, 2 * longest_command_s(settings))


class Supervisor:
    """The supervisor of this process, if there is one. Safe to share between threads."""

    def __init__(self, file: Path | None = None, environment: Mapping[str, str] = os.environ) -> None:
        """``file`` is touched with each sign of life."""
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte of an abstract address (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._period_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6 / MESSAGES_A_SILENCE
        self._said = -self._period_s
        self._file, self._touched = file, -TOUCH_S

    def starting(self) -> None:
        """Remove the file of an earlier process of this container, which is no sign of life of this one."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def ready(self) -> None:
        """Report that the model is loaded and work can start."""
        self._say("READY=1")

    def alive(self) -> None:
        """Report that this process is alive. Cheap to call often: excess messages are dropped."""
        if self._period_s and time.monotonic() - self._said >= self._period_s:
            self._said = time.monotonic()
            self._say("WATCHDOG=1")
        if self._file is not None and time.monotonic() - self._touched >= TOUCH_S:
            self._touched = time.monotonic()
            # A failing file system must not end the work; the probe sees the stale file.
            with suppress(OSError):
                self._file.touch()

    def _say(self, message: str) -> None:
        if not self._address:
            return
        # Never block on the supervisor: one that is gone or does not read must not stop the work.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.setblocking(False)
            speaker.sendto(message.encode(), self._address)
