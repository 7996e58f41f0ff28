"""The whole service on one machine: Redis (unless one is given), front end and workers as processes.

Jobs, pictures and logs are kept in the state folder, where a later start finds them again.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self

import httpx
from redis.connection import parse_url

from cli.processes.downloads import Downloads
from cli.processes.embedded_redis import EmbeddedRedis
from cli.processes.supervisor import PYTHON, Program, Supervised, stop_all
from cli.processes.workers import environment_of, worker_programs
from jobs.settings import Settings

FRONT_END_GRACE_S = 10.0
"""Time the front end has to finish its requests when it is stopped, in seconds."""

READY_TIMEOUT_S = 300.0
"""Longest wait for the first worker: it loads and warms its checkpoint, in seconds. A download may take any time, as
long as it moves."""

NAME_AFTER_S = 5.0
"""Pause between two messages about missing parts, in seconds."""

Tell = Callable[[str], None]
"""Receives progress messages about the start."""


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
        """``embedded``: run a Redis server of our own in the state folder; else use ``settings.redis_url``.

        Where no default model is set, it is the one that the workers serve.
        """
        update: dict[str, object] = {}
        if settings.api_port == 0:
            update["api_port"] = free_port(settings.api_host)
        if "default_model" not in settings.model_fields_set:
            update["default_model"] = settings.model
        settings = settings.model_copy(update=update)
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
        self._require_free_port()
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

    def _require_free_port(self) -> None:
        """Before anything starts: a program that listens there already would answer in the front end's place.

        Raises:
            StackError: names host and port.
        """
        host, port = self.settings.api_host, self.settings.api_port
        try:
            family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, proto) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            self._unlock()
            if error.errno == errno.EADDRINUSE:
                raise StackError(
                    f"port {port} of {host} is in use by another program: stop that program, or choose another port "
                    "with --port or MAGEDIT_API_PORT"
                ) from error
            raise StackError(f"the front end cannot listen on {host}, port {port}: {error.strerror}") from error

    def _start(self) -> None:
        if self.redis is not None:
            self.redis.wait_gone()
            self._redis_process = Supervised(self.redis.program(), self.logs)
            _await(self.redis.answers, [self._redis_process], timeout_s=30.0, pause_s=0.02)
        for program in self._programs():
            self._processes.append(Supervised(program, self.logs))

    def _programs(self) -> Iterator[Program]:
        environment = self.environment()
        command = (*PYTHON, "-m", "service")
        yield Program(name="service", command=command, environment=environment, grace_s=FRONT_END_GRACE_S)
        yield from worker_programs(self.settings, self.workers, environment)

    def environment(self) -> dict[str, str]:
        """The environment of every process of the stack."""
        # Whoever can enter the folder of our own server needs no password.
        own = {"redis_url": self.redis.url, "redis_password": None} if self.redis else {}
        return environment_of(self.settings.model_copy(update={"state_dir": self.state, **own}))

    def wait_ready(self, stopped: Callable[[], bool] = lambda: False, tell: Tell = lambda _: None) -> None:
        """Wait until the front end, Redis, storage and a worker are ready, or ``stopped()`` says to give up.

        ``tell`` gets a sentence about what is missing, and how far a download is, every few seconds if it changes.

        Raises:
            ProgramDied: a process ended meanwhile; the message holds the end of its log.
            StackError: not ready within `READY_TIMEOUT_S`, not counting a download that moves; the message names the
                missing part and its log.
        """
        downloads = Downloads(self.settings.checkpoint)
        deadline, tell_at, told = time.monotonic() + READY_TIMEOUT_S, time.monotonic() + NAME_AFTER_S, ""
        with httpx.Client(base_url=self.url, timeout=5.0) as client:
            while missing := self._missing(client):
                if stopped():
                    return
                self._require_alive()
                now = time.monotonic()
                if downloads.moved():
                    deadline = now + READY_TIMEOUT_S
                if now > deadline:
                    raise StackError(f"not ready after {READY_TIMEOUT_S:.0f} s: {'; '.join(missing)}")
                if now > tell_at:
                    tell_at = now + NAME_AFTER_S
                    last, told = told, "; ".join([*missing, *downloads.progress()])
                    if told != last:
                        tell(told)
                time.sleep(0.25)
        self._require_alive()

    def _require_alive(self) -> None:
        for process in self.processes:
            process.require_alive()

    def _missing(self, client: httpx.Client) -> list[str]:
        """The parts that are not ready yet, a sentence for each."""
        try:
            answer = client.get("/readyz/workers")
        except httpx.TransportError:
            return [f"waiting for the front end (log: {self.logs / 'service.log'})"]
        if answer.status_code == httpx.codes.OK:
            return []
        reasons = {each["field"]: each["message"] for each in answer.json().get("errors", ())}
        named = {
            "redis": f"waiting for Redis at {self._redis_address()}: {reasons.get('redis')} (MAGEDIT_REDIS_URL)",
            "storage": f"waiting for the object storage: {reasons.get('storage')} (MAGEDIT_STORAGE_URL)",
            "worker": f"waiting for a worker to load {self.settings.checkpoint or 'the demo checkpoint'} "
            f"(log: {self.logs / 'worker-0.log'})",
        }
        return [named.get(part, f"waiting for {part}: {reason}") for part, reason in reasons.items()] or [
            f"waiting for the front end: it answers {answer.status_code} (log: {self.logs / 'service.log'})"
        ]

    def _redis_address(self) -> str:
        """Where Redis is, without its password."""
        given: dict[str, object] = parse_url(self.redis.url if self.redis else self.settings.redis_url)  # type: ignore[no-untyped-call]
        return str(given.get("path") or f"{given.get('host', 'localhost')}:{given.get('port', 6379)}")

    def revive(self) -> list[str]:
        """Restart dead processes; returns their names."""
        return [process.program.name for process in self.processes if process.revive()]

    def stop(self) -> None:
        """Stop everything; Redis last, so that workers can hand back their edits. No process is left."""
        stop_all(self._processes)
        if self._redis_process is not None:
            stop_all([self._redis_process])
        self._processes, self._redis_process = [], None
        self._unlock()

    def _unlock(self) -> None:
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
