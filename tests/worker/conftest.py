"""Worker processes, and waiting for how they and their edits end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rq.job import Job
from rq.registry import StartedJobRegistry

from jobs.queue import queue_name
from jobs.schema import JobRecord, State
from jobs.settings import Settings
from jobs.storage import attempt_prefix, job_prefix, sha256
from tests.conftest import PATIENCE_S, running, wait_until
from tests.jobs.conftest import Desk, open_ids
from worker.models.served_model import ServedModel, load

Process = subprocess.Popen[bytes]
Spawn = Callable[..., Process]
CHECKPOINT = Path(__file__).parent.parent / "data" / "tiny-checkpoint"


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    """The job side of a service whose reapers look often; a lease ends when the test says so
    (`tests.jobs.conftest.lapse`), not when a worker is slow."""
    times = {
        "lease_s": 600.0,
        "reaper_interval_s": 0.1,
        "reaper_grace_s": 0.2,
        "stop_grace_s": 600.0,
        "watchdog_s": 600.0,
        "progress_interval_s": 0.05,
        "max_attempts": 2,
    }
    desk = Desk(settings.model_copy(update=times))
    yield desk
    desk.close()


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """What holds the painter up; see `tests.worker.models.painter`."""
    folder = tmp_path / "gates"
    folder.mkdir()
    return folder


@pytest.fixture
def spawn(desk: Desk, gates: Path) -> Iterator[Callable[..., Process]]:
    """Start painting workers, each returned when it serves; those left are stopped in the end."""
    with ExitStack() as stack:

        def start(*models: str, **changes: Any) -> Process:
            settings = desk.settings.model_copy(update=changes)
            process = stack.enter_context(
                running(
                    [sys.executable, "-m", "tests.worker.models.painter", str(gates), *models],
                    env=environment(settings),
                )
            )
            mark = f"-{process.pid}-"
            wait_until(
                lambda: process.poll() is not None or any(mark in name for name in desk.models.workers()), what="worker"
            )
            return process

        yield start
        # What a test left waiting at a gate can end at once.
        for gate in gates.iterdir():
            gate.unlink()


@pytest.fixture(scope="session")
def real_model() -> ServedModel:
    """The tiny real checkpoint, loaded as a worker loads it."""
    return load(Settings(checkpoint=str(CHECKPOINT), device="cpu"))


def environment(settings: Settings) -> dict[str, str]:
    """The process environment that gives these settings."""
    given = {
        f"MAGEDIT_{name.upper()}": value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
        for name in settings.model_fields_set
        for value in (getattr(settings, name),)
        if value is not None
    }
    quiet = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, **quiet, **given}


def ends(desk: Desk, record: JobRecord, timeout_s: float = PATIENCE_S) -> JobRecord:
    """The record when it is terminal, its objects checked against it."""
    wait_until(lambda: desk.get(record).state.is_terminal, timeout_s, f"end of {record.id}")
    done = desk.get(record)
    for stored in (*done.results, *done.artifacts):
        assert sha256(desk.store.get(stored.key)) == stored.sha256
        assert stored.key.startswith(attempt_prefix(done))
    assert (done.state is State.SUCCEEDED) == bool(done.results)
    assert record.id not in open_ids(desk.records)
    return done


def runs(desk: Desk, record: JobRecord) -> None:
    """Return when the edit reports its last step."""
    wait_until(lambda: (found := desk.get(record).progress) is not None and found.fraction == 1.0, what="progress")


def leaves_rq(desk: Desk, record: JobRecord) -> None:
    """Return when nothing of the edit is left in RQ."""
    wait_until(lambda: desk.queue.taken("demo") == set() and not Job.exists(record.id, connection=desk.redis))
    name = queue_name("demo", record.priority)
    wait_until(lambda: StartedJobRegistry(name, connection=desk.redis).get_job_ids(cleanup=False) == [])


def attempts(desk: Desk, record: JobRecord) -> set[str]:
    """The attempts that have objects in storage."""
    prefix = job_prefix(record.tenant, record.id)
    return {key.removeprefix(prefix).split("/")[0] for key in desk.store.keys(prefix)} - {"input"}
