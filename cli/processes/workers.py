"""Worker processes under a supervisor, for `magedit worker` and `magedit up`."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from types import FrameType

import structlog
from pydantic import SecretStr

from cli.processes.supervisor import PYTHON, Program, Supervised, stop_all
from jobs.settings import ENV_PREFIX, Settings
from worker.sd_notify import silence_s

WATCH_S = 0.5
"""Pause between two checks of the processes, in seconds."""

PROCESS_EXIT_S = 10.0
"""Time that a worker needs to exit after its grace time for the running edit, in seconds."""

log = structlog.get_logger()


def environment_of(settings: Settings) -> dict[str, str]:
    """This process's environment, with ``settings`` in place of its MAGEDIT_ variables."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    for name, value in settings:
        if value is not None:
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            if isinstance(value, dict | tuple):
                text = json.dumps(settings.model_dump(mode="json", include={name})[name])
            environment[ENV_PREFIX + name.upper()] = text
    # Without these every worker starts one thread per core, and the workers compete for the cores.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        environment.setdefault(name, str(settings.threads))
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def worker_programs(settings: Settings, workers: int, environment: Mapping[str, str]) -> Iterator[Program]:
    """``workers`` programs that run `python -m worker`."""
    for number in range(workers):
        if settings.worker_metrics_port:
            port = f"{settings.worker_metrics_port + number}"
            environment = {**environment, f"{ENV_PREFIX}WORKER_METRICS_PORT": port}
        yield Program(
            name=f"worker-{number}",
            command=(*PYTHON, "-m", "worker"),
            environment=environment,
            grace_s=settings.stop_grace_s + PROCESS_EXIT_S,
            silence_s=silence_s(settings),
        )


def keep_working(programs: Iterable[Program]) -> int:
    """Run ``programs`` until SIGTERM or SIGINT, in the main thread; their output is this process's.

    A program that ends is restarted, one that hangs is killed and restarted. One that ends with EX_CONFIG (an invalid
    setting or checkpoint) ends them all. Returns the exit status: 0, or EX_CONFIG. The first
    signal lets each finish or hand back its edit within its grace time; a further one is passed on, and workers then
    hand back at once. No process is left.
    """
    stopped = threading.Event()
    running: list[Supervised] = []

    def stop(_number: int, _frame: FrameType | None) -> None:
        if stopped.is_set():
            for each in running:
                each.signal(signal.SIGTERM)
        stopped.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for program in programs:
            running.append(Supervised(program, None))
        told: set[int] = set()
        while not stopped.wait(WATCH_S):
            for each in running:
                _watch(each, told)
            if any(each.misconfigured for each in running):
                log.error("a worker cannot run with this configuration: fix the setting named above, then restart it")
                return os.EX_CONFIG
        log.info("stopping", workers=len(running))
        return 0
    finally:
        stop_all(running)
        for number, handler in previous.items():
            signal.signal(number, handler)


def _watch(each: Supervised, told: set[int]) -> None:
    """Restart one program if needed; ``told`` are the process ids whose end has been logged."""
    pid = each.pid
    if each.revive():
        log.info("worker started again", worker=each.program.name, pid=each.pid)
    elif not each.alive and pid not in told:
        told.add(pid)
        log.warning("worker ended", worker=each.program.name, pid=pid, status=each.status, hung=each.hung)
