"""A process supervisor: starts programs, restarts those that die, kills those that hang, stops all by pid.

Each program runs in a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone and the
programs stop in the supervisor's order; and under `cli.processes.child`, so that none outlives a killed supervisor.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from cli.processes.notify_socket import NotifySocket

PYTHON = (sys.executable, "-P")
"""The interpreter for programs of this project. ``-P``: a `worker.py` in the working folder is not imported in place of
the project's own package."""

RESTART_DELAY_S = 1.0
"""Pause before a dead program is restarted, in seconds; doubled each time it dies young."""

RESTART_DELAY_MAX_S = 30.0
"""Longest such pause, in seconds."""

YOUNG_S = 30.0
"""A program that lived shorter than this, in seconds, died young."""

START_SILENCE_S = 1800.0
"""Time to a program's first sd_notify message, in seconds: a worker loads its checkpoint first."""

_KILL_WAIT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """A process to keep alive: ``name`` for logs, ``command``, complete ``environment``, time to stop in seconds.

    ``silence_s``: time without an sd_notify message after which it counts as hung, in seconds; None: it sends none.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    grace_s: float
    silence_s: float | None = None


class ProgramDied(Exception):
    """A program ended during the wait for it; the message holds the end of its log."""


class Supervised:
    """One program and its current process. Standard output and error are appended to ``logs/<name>.log``, or are those
    of this process if ``logs`` is None. `stop_all` ends it for good."""

    def __init__(self, program: Program, logs: Path | None) -> None:
        self.program = program
        self.log = logs / f"{program.name}.log" if logs else None
        self.restarts = 0
        self.hung = False
        """Whether the last process to end was killed because it hung."""
        self._notify = NotifySocket() if program.silence_s is not None else None
        self._last_message: float | None = None
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

    @property
    def status(self) -> int | None:
        """Exit status of the current process (negative: the signal that ended it), None while it runs."""
        return self._process.poll()

    @property
    def misconfigured(self) -> bool:
        """Whether it ended with EX_CONFIG (sysexits.h): a restart with the same settings would fail again."""
        return self.status == os.EX_CONFIG

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._started = time.monotonic()
        environment = dict(self.program.environment)
        if self._notify is not None and self.program.silence_s is not None:
            environment |= self._notify.environment(self.program.silence_s)
            self._notify.received()
            self._last_message = None
        with self.log.open("ab") if self.log else nullcontext() as output:
            return subprocess.Popen(
                (*PYTHON, "-m", "cli.processes.child", str(os.getpid()), *self.program.command),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )

    def _hangs(self) -> bool:
        """Whether it has been silent for too long."""
        if self._notify is None or self.program.silence_s is None:
            return False
        if self._notify.received():
            self._last_message = time.monotonic()
        if self._last_message is None:
            return time.monotonic() - self._started > START_SILENCE_S
        return time.monotonic() - self._last_message > self.program.silence_s

    def revive(self) -> bool:
        """Restart the program if it died and its pause is over; returns whether it was restarted. Kills one that hangs,
        so that the next call finds it dead. One that ended with EX_CONFIG is not restarted."""
        if self.misconfigured:
            return False
        if self.alive:
            if self._hangs():
                self.hung = True
                # Not SIGTERM: a hung process would not handle it.
                self.signal(signal.SIGKILL)
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
        self.hung = False
        self.restarts += 1
        self._process = self._spawn()
        return True

    def require_alive(self) -> None:
        """Raise `ProgramDied` with the end of the log if the process has ended."""
        if not self.alive:
            raise ProgramDied(
                f"{self.program.name} ended with status {self._process.returncode}. "
                f"The end of {self.log or 'its log'}:\n{self.log_tail()}"
            )

    def log_tail(self, lines: int = 15) -> str:
        """The last ``lines`` lines of the log, if it is a file."""
        if self.log is None:
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def signal(self, number: signal.Signals) -> None:
        """Signal the program and its children (its process group)."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def wait(self, deadline: float) -> bool:
        """Wait until the process ends or ``deadline`` (monotonic seconds) passes; returns whether it ended."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Release the ended process."""
        if self._notify is not None:
            self._notify.close()


def stop_all(programs: Iterable[Supervised]) -> None:
    """Send SIGTERM to all, SIGKILL after their grace time; returns when no process is left."""
    programs = list(programs)
    for each in programs:
        each.signal(signal.SIGTERM)
    started = time.monotonic()
    for each in programs:
        if not each.wait(started + each.program.grace_s):
            each.signal(signal.SIGKILL)
    for each in programs:
        each.wait(time.monotonic() + _KILL_WAIT_S)
        each.close()
