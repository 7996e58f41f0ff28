"""`magedit worker`: real worker processes that die and hang under the supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli.processes.workers import worker_programs
from jobs.schema import State
from jobs.settings import Settings
from tests.conftest import PATIENCE_S, alive, descendants, wait_until
from tests.jobs.conftest import Desk, lapse
from tests.worker.conftest import CHECKPOINT, Process, environment
from worker.sd_notify import silence_s

# `keep_working` with painters (tests.worker.models.painter) for workers and a supervisor of less patience.
SUPERVISOR = """
import os, sys
from pathlib import Path
from cli.processes import supervisor
from cli.processes.supervisor import Program
from cli.processes.workers import keep_working
from jobs.observability.logs import configure_logging
supervisor.RESTART_DELAY_S = 0.05
configure_logging()
gates, silence_s, *names = sys.argv[1:]
command = (sys.executable, "-m", "tests.worker.models.painter", gates)
keep_working(
    Program(name=name, command=command, environment=dict(os.environ), grace_s=600, silence_s=float(silence_s))
    for name in names
)
"""


@pytest.fixture
def supervise(desk: Desk, gates: Path) -> Iterator[Callable[..., Process]]:
    """Start a supervisor of painters, returned when each of them serves."""
    with ExitStack() as stack:

        def start(*names: str, silence_s: float = 600.0, **changes: float) -> Process:
            command = [sys.executable, "-c", SUPERVISOR, str(gates), str(silence_s), *names]
            process = stack.enter_context(
                subprocess.Popen(command, env=environment(desk.settings.model_copy(update=changes)))
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            wait_until(lambda: len(desk.models.workers()) == len(names), what="workers")
            return process

        yield start


def pid_of(worker: str) -> int:
    return int(worker.split("-")[-2])


def test_a_killed_worker_is_restarted_and_its_edit_finishes(
    desk: Desk, supervise: Callable[..., Process], gates: Path
) -> None:
    (gates / "hold").touch()
    supervisor = supervise("one", "two")
    record = desk.submit("hold")
    wait_until(lambda: desk.is_in(record, State.RUNNING))
    first = desk.get(record).worker
    assert first is not None
    os.kill(pid_of(first), signal.SIGKILL)
    wait_until(lambda: not alive(pid_of(first)))
    lapse(desk, record)
    wait_until(lambda: desk.get(record).attempt == 2)
    (gates / "hold").unlink()
    wait_until(lambda: desk.is_in(record, State.SUCCEEDED))
    wait_until(lambda: len(desk.models.workers() - {first}) == 2, what="a worker in its place")
    started = descendants(supervisor.pid)
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(PATIENCE_S) == 0
    assert desk.models.workers() == {first}  # until its announcement runs out
    assert not any(alive(pid) for pid in started)


def test_a_stopped_worker_is_killed_and_replaced(desk: Desk, supervise: Callable[..., Process]) -> None:
    supervise("one", silence_s=4.0)
    # On a machine that is slow enough, one that only seemed to be stopped has been replaced by now.
    stopped = next(each for each in desk.models.workers() if alive(pid_of(each)))
    os.kill(pid_of(stopped), signal.SIGSTOP)
    wait_until(lambda: not alive(pid_of(stopped)), what="its end")
    record = desk.submit()
    wait_until(lambda: desk.is_in(record, State.SUCCEEDED))
    assert desk.get(record).worker != stopped


def test_a_worker_whose_watchdog_ended_it_is_replaced(
    desk: Desk, supervise: Callable[..., Process], gates: Path
) -> None:
    (gates / "hang").touch()
    supervise("one", watchdog_s=1.0)
    record = desk.submit("hang")
    wait_until(lambda: desk.is_in(record, State.RUNNING))
    first = desk.get(record).worker
    assert first is not None
    wait_until(lambda: not alive(pid_of(first)), what="its watchdog")
    lapse(desk, record)
    wait_until(lambda: desk.get(record).attempt == 2, what="second attempt")
    (gates / "hang").unlink()
    wait_until(lambda: desk.is_in(record, State.SUCCEEDED))


def test_a_second_signal_hands_back_at_once(desk: Desk, supervise: Callable[..., Process], gates: Path) -> None:
    (gates / "hold").touch()
    supervisor = supervise("one")
    record = desk.submit("hold")
    wait_until(lambda: desk.get(record).progress is not None)
    supervisor.send_signal(signal.SIGTERM)
    wait_until(lambda: supervisor.poll() is not None or desk.is_in(record, State.RUNNING))
    with pytest.raises(subprocess.TimeoutExpired):
        supervisor.wait(0.7)  # the edit has its grace time
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(PATIENCE_S) == 0
    assert (desk.get(record).state, desk.get(record).handed_back) == (State.QUEUED, 1)


def test_a_killed_supervisor_leaves_no_orphan(supervise: Callable[..., Process]) -> None:
    supervisor = supervise("one", "two")
    started = descendants(supervisor.pid)
    assert len(started) == 2
    supervisor.kill()
    wait_until(lambda: not any(alive(pid) for pid in started), what="their end")


def test_the_command_with_a_real_worker(desk: Desk) -> None:
    settings = desk.settings.model_copy(update={"checkpoint": str(CHECKPOINT), "device": "cpu"})
    command = [sys.executable, "-m", "cli", "worker", "--workers", "1"]
    with subprocess.Popen(command, env=environment(settings), stderr=subprocess.PIPE) as process:
        try:
            wait_until(lambda: process.poll() is not None or bool(desk.models.workers()), what="worker")
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert '"worker ready"' in said.replace('"event": ', "")
    assert desk.models.workers() == set()


def test_a_worker_has_time_to_hand_back_and_is_watched() -> None:
    settings = Settings(stop_grace_s=7)
    (program,) = worker_programs(settings, 1, {})
    assert program.command[-2:] == ("-m", "worker")
    assert program.grace_s > 7
    assert program.silence_s == silence_s(settings)
