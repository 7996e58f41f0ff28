"""Telling a supervisor that this process lives: sd_notify(3) and sd_watchdog_enabled(3), and a file for probes.

A supervisor that wants to know gives the process `NOTIFY_SOCKET` (a unix datagram socket) and `WATCHDOG_USEC` (how
long it may be silent, in microseconds): `magedit worker` and `magedit up` do, systemd does with `WatchdogSec=`. Without
them nothing is said. A container's liveness probe looks at the age of a file instead (`worker.alive`).
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

# Messages within the silence that the supervisor allows, so that some may be late.
MESSAGES_A_SILENCE = 4

TOUCH_S = 5.0
"""Shortest time between two touches of the heartbeat file, in seconds."""

SILENCE_MIN_S = 30.0
"""A process is given this long without a sign of life, in seconds, however fast Redis is to answer."""


def silence_s(settings: Settings) -> float:
    """How long a process may give no sign of life, in seconds: twice as long as one Redis command may take."""
    return max(SILENCE_MIN_S, 2 * longest_command_s(settings))


class Supervisor:
    """Who started this process, if he listens. Safe to share between threads."""

    def __init__(self, file: Path | None = None, environment: Mapping[str, str] = os.environ) -> None:
        """``file`` is touched with each sign of life."""
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte of an abstract address (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._period_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6 / MESSAGES_A_SILENCE
        self._said = -self._period_s
        self._file, self._touched = file, -TOUCH_S

    def starting(self) -> None:
        """Say nothing yet: what an earlier process of this container left behind is no sign of life of this one."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def ready(self) -> None:
        """Say that the model is loaded and work can begin."""
        self._say("READY=1")

    def alive(self) -> None:
        """Say that this process lives; to be called at will, for what is too much is not said."""
        if self._period_s and time.monotonic() - self._said >= self._period_s:
            self._said = time.monotonic()
            self._say("WATCHDOG=1")
        if self._file is not None and time.monotonic() - self._touched >= TOUCH_S:
            self._touched = time.monotonic()
            # A file system that fails is no reason to end the work; whoever looks at the file sees it.
            with suppress(OSError):
                self._file.touch()

    def _say(self, message: str) -> None:
        if not self._address:
            return
        # Nobody waits for a supervisor: one that is gone or does not read must not stop the work.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.setblocking(False)
            speaker.sendto(message.encode(), self._address)
