"""The whole service on one machine: Redis (if none is given), front end and workers as processes.

Everything it keeps (jobs, pictures, logs) is in the state folder, so that a later start finds it again.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self

import httpx
from pydantic import SecretStr

from cli.embedded_redis import EmbeddedRedis
from cli.processes import Program, Supervised, stop_all
from jobs.settings import Settings

ENV_PREFIX = str(Settings.model_config["env_prefix"])

FRONT_END_GRACE_S = 10.0
"""Time the front end has to finish its requests when it is stopped, in seconds."""

PROCESS_EXIT_S = 10.0
"""What a worker needs to exit after its grace time for the running edit, in seconds."""

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
        grace = self.settings.stop_grace_s + PROCESS_EXIT_S
        for n in range(self.workers):
            yield Program(name=f"worker-{n}", command=(*python, "worker"), environment=environment, grace_s=grace)

    def environment(self) -> dict[str, str]:
        """This process's environment, with the stack's settings in place of any other."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        settings = self.settings.model_copy(
            update={"state_dir": self.state, "redis_url": self.redis.url if self.redis else self.settings.redis_url}
        )
        for name, value in settings:
            if value is not None:
                text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                environment[ENV_PREFIX + name.upper()] = text
        # Without these every worker starts a pool as wide as the machine, and the pools fight for the cores.
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            environment.setdefault(name, str(settings.threads))
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        environment["PYTHONUNBUFFERED"] = "1"
        return environment

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
            logs = processes[0].log.parent
            raise StackError(f"not ready after {timeout_s:.0f} s; see the logs in {logs}")
        time.sleep(pause_s)
