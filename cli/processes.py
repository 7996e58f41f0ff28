"""A small supervisor: starts programs, restarts what dies, stops all of them by process id.

Each program runs in a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone and the
programs stop in the supervisor's order; and under `cli.child`, so that none outlives a killed supervisor.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

RESTART_DELAY_S = 1.0
"""Pause before a program that died is started again; doubled each time it dies young."""

RESTART_DELAY_MAX_S = 30.0
"""Longest such pause."""

YOUNG_S = 30.0
"""A program that lived shorter than this died young."""

_KILL_WAIT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process to keep alive: ``name`` for logs, ``command``, its whole ``environment``, time to stop in seconds."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    grace_s: float


class ProgramDied(Exception):
    """A program ended while it was being waited for; the message holds the end of its log."""


class Supervised:
    """One program and its current process. Standard output and error are appended to ``logs/<name>.log``."""

    def __init__(self, program: Program, logs: Path) -> None:
        self.program = program
        self.log = logs / f"{program.name}.log"
        self.restarts = 0
        self._delay = RESTART_DELAY_S
        self._restart_at: float | None = None
        self._process = self._spawn()

    @property
    def pid(self) -> int:
        """Process id of the current process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the current process runs."""
        return self._process.poll() is None

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._started = time.monotonic()
        with self.log.open("ab") as output:
            return subprocess.Popen(
                (sys.executable, "-m", "cli.child", str(os.getpid()), *self.program.command),
                env=dict(self.program.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def revive(self) -> bool:
        """Start the program again if it died and its pause is over; whether it was started now."""
        if self.alive:
            return False
        now = time.monotonic()
        if self._restart_at is None:
            young = now - self._started < YOUNG_S
            self._restart_at = now + self._delay
            self._delay = min(self._delay * 2, RESTART_DELAY_MAX_S) if young else RESTART_DELAY_S
            return False
        if now < self._restart_at:
            return False
        self._restart_at = None
        self.restarts += 1
        self._process = self._spawn()
        return True

    def require_alive(self) -> None:
        """Raise `ProgramDied` with the end of the log if the process has ended."""
        if not self.alive:
            raise ProgramDied(
                f"{self.program.name} ended with status {self._process.returncode}. "
                f"The end of {self.log}:\n{self.log_tail()}"
            )

    def log_tail(self, lines: int = 15) -> str:
        """The last ``lines`` lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def signal(self, number: signal.Signals) -> None:
        """Signal the program and whatever it started (its process group)."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def wait(self, deadline: float) -> bool:
        """Wait until the process ends or ``deadline`` (monotonic seconds); whether it ended."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True


def stop_all(programs: Iterable[Supervised]) -> None:
    """SIGTERM to all, SIGKILL to what outlives its grace time; returns when no process is left."""
    programs = list(programs)
    for each in programs:
        each.signal(signal.SIGTERM)
    started = time.monotonic()
    for each in programs:
        if not each.wait(started + each.program.grace_s):
            each.signal(signal.SIGKILL)
    for each in programs:
        each.wait(time.monotonic() + _KILL_WAIT_S)
