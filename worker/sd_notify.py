"""Telling a supervisor that this process lives: sd_notify(3) and sd_watchdog_enabled(3), without a library.

A supervisor that wants to know gives the process `NOTIFY_SOCKET` (a unix datagram socket) and `WATCHDOG_USEC` (how
long it may be silent, in microseconds): `magedit worker` and `magedit up` do, systemd does with `WatchdogSec=`. Without
them nothing is said.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

# Messages within the silence that the supervisor allows, so that some may be late.
MESSAGES_A_SILENCE = 4


class Supervisor:
    """Who started this process, if he listens. Safe to share between threads."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte of an abstract address (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._period_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6 / MESSAGES_A_SILENCE
        self._said = -self._period_s

    def ready(self) -> None:
        """Say that the model is loaded and work can begin."""
        self._say("READY=1")

    def alive(self) -> None:
        """Say that this process lives; to be called at will, for what is too much is not said."""
        if self._period_s and time.monotonic() - self._said >= self._period_s:
            self._said = time.monotonic()
            self._say("WATCHDOG=1")

    def _say(self, message: str) -> None:
        if not self._address:
            return
        # Nobody waits for a supervisor: one that is gone or does not read must not stop the work.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.setblocking(False)
            speaker.sendto(message.encode(), self._address)
