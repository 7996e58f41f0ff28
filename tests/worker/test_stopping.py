"""Worker processes that are asked to stop, and ones that hang."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from jobs.schema import State
from tests.conftest import PATIENCE_S, wait_until
from tests.jobs.conftest import Desk, lapse
from tests.worker.conftest import Spawn, ends, runs
from worker.heartbeat import EXIT_RESTART


def test_hanging_model_is_detected(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "stuck").touch()
    process = spawn(watchdog_s=0.5)
    breaking = desk.submit("break")
    assert process.wait(PATIENCE_S) == EXIT_RESTART
    assert desk.is_in(breaking, State.FAILED)


def test_a_slow_model_does_not_count_as_hung(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "stuck").touch()
    process = spawn()
    breaking, next_ = desk.submit("break"), desk.submit()
    wait_until(lambda: desk.is_in(breaking, State.FAILED))
    (gates / "stuck").unlink()
    assert ends(desk, next_).state is State.SUCCEEDED
    assert process.poll() is None


def test_sigterm_lets_the_edit_finish(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "hold").touch()
    process = spawn()
    record, waiting = desk.submit("hold"), desk.submit()
    runs(desk, record)
    process.send_signal(signal.SIGTERM)
    (gates / "hold").unlink()
    assert process.wait(PATIENCE_S) == 0
    assert desk.get(record).state is State.SUCCEEDED
    assert desk.get(waiting).attempt == 0


def test_sigterm_hands_back_an_edit_after_the_grace_time(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "hold").touch()
    process = spawn(stop_grace_s=0.2)
    record = desk.submit("hold")
    runs(desk, record)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    back = desk.get(record)
    assert (back.state, back.attempt, back.handed_back) == (State.QUEUED, 1, 1)
    assert desk.queue.position(back) == 0
    (gates / "hold").unlink()
    spawn()
    assert ends(desk, record).attempt == 2


def test_second_sigterm_stops_immediately(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "hold").touch()
    process = spawn()
    record = desk.submit("hold")
    runs(desk, record)
    process.send_signal(signal.SIGTERM)
    # Two pending signals of one kind are one: a slow machine takes the first later.
    for pause_s in (0.1, 20.0, 80.0):
        with suppress(subprocess.TimeoutExpired):
            process.wait(pause_s)
            break
        process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert desk.get(record).state is State.QUEUED


def test_the_watchdog_ends_a_hung_worker(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "hang").touch()
    process = spawn(watchdog_s=0.5)
    record = desk.submit("hang")
    assert process.wait(PATIENCE_S) == EXIT_RESTART
    (gates / "hang").unlink()
    lapse(desk, record)
    spawn()
    assert (ends(desk, record).state, desk.get(record).attempt) == (State.SUCCEEDED, 2)
