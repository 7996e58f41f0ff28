"""The whole service on one machine: Redis (if none is given), front end and workers as processes.

Everything it keeps (jobs, pictures, logs) is in the state folder, so that a later start finds it again.
"""

from __future__ import annotations

import fcntl
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self

import httpx

from cli.embedded_redis import EmbeddedRedis
from cli.supervisor import Program, Supervised, stop_all
from cli.workers import environment_of, worker_programs
from jobs.settings import Settings

FRONT_END_GRACE_S = 10.0
"""Time the front end has to finish its requests when it is stopped, in seconds."""

READY_TIMEOUT_S = 300.0
"""Longest wait for the first worker: it loads and warms its checkpoint, in seconds."""


class StackError(Exception):
    """The stack cannot start; the message says why."""


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port of ``host`` that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Stack:
    """Start, watch and stop the processes. A context manager: leaving it stops every process it started."""

    def __init__(self, settings: Settings, *, workers: int, embedded: bool) -> None:
        """``embedded``: run a Redis server of our own in the state folder; else use ``settings.redis_url``."""
        if settings.api_port == 0:
            settings = settings.model_copy(update={"api_port": free_port(settings.api_host)})
        self.settings = settings
        self.workers = workers
        self.state = Path(settings.state_dir).resolve()
        self.logs = self.state / "logs"
        self.redis = EmbeddedRedis(self.state / "redis") if embedded else None
        self._redis_process: Supervised | None = None
        self._processes: list[Supervised] = []
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """Where the front end listens."""
        host = self.settings.api_host
        return f"http://{'[' + host + ']' if ':' in host else host}:{self.settings.api_port}"

    @property
    def processes(self) -> list[Supervised]:
        """Every supervised process, Redis first."""
        return ([self._redis_process] if self._redis_process else []) + self._processes

    def __enter__(self) -> Self:
        self.lock()
        self.logs.mkdir(exist_ok=True)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def lock(self) -> None:
        """Take the state folder; the kernel gives it back when this process ends, however it ends.

        Raises:
            StackError: another stack has it.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        lock = (self.state / "stack.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise StackError(
                f"another `magedit up` uses {self.state}: stop it, or set MAGEDIT_STATE_DIR to another folder"
            ) from error
        self._lock = lock

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        if self.redis is not None:
            self.redis.wait_gone()
            self._redis_process = Supervised(self.redis.program(), self.logs)
            _await(self.redis.answers, [self._redis_process], timeout_s=30.0, pause_s=0.02)
        for program in self._programs():
            self._processes.append(Supervised(program, self.logs))

    def _programs(self) -> Iterator[Program]:
        environment = self.environment()
        python = (sys.executable, "-m")
        yield Program(name="service", command=(*python, "service"), environment=environment, grace_s=FRONT_END_GRACE_S)
        yield from worker_programs(self.settings, self.workers, environment)

    def environment(self) -> dict[str, str]:
        """What every process of the stack gets."""
        # Whoever can enter the folder of our own server needs no password.
        own = {"redis_url": self.redis.url, "redis_password": None} if self.redis else {}
        return environment_of(self.settings.model_copy(update={"state_dir": self.state, **own}))

    def wait_ready(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Wait until the front end, Redis, storage and a worker are ready, or ``stopped()`` says to give up.

        Raises:
            ProgramDied: a process ended meanwhile; the message holds the end of its log.
            StackError: not ready within `READY_TIMEOUT_S`.
        """
        with httpx.Client(base_url=self.url, timeout=5.0) as client:

            def ready() -> bool:
                try:
                    return stopped() or client.get("/readyz").status_code == httpx.codes.OK
                except httpx.TransportError:
                    return False

            _await(ready, self.processes, timeout_s=READY_TIMEOUT_S, pause_s=0.25)

    def revive(self) -> list[str]:
        """Start again what has died; the names of what was started."""
        return [process.program.name for process in self.processes if process.revive()]

    def stop(self) -> None:
        """Stop everything; Redis last, so that workers can hand back their edits. No process is left."""
        stop_all(self._processes)
        if self._redis_process is not None:
            stop_all([self._redis_process])
        self._processes, self._redis_process = [], None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _await(ready: Callable[[], bool], processes: list[Supervised], *, timeout_s: float, pause_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        for process in processes:
            process.require_alive()
        if time.monotonic() > deadline:
            raise StackError(f"not ready after {timeout_s:.0f} s; see the log {processes[0].log} and those beside it")
        time.sleep(pause_s)
