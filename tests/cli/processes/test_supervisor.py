"""The supervisor, with real processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.processes import supervisor
from cli.processes.supervisor import Program, ProgramDied, Supervised, stop_all
from tests.conftest import alive, wait_until

READY = "print('ready', flush=True)\n"
WAITS = READY + "import time; time.sleep(600)"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + "time.sleep(600)"


def program(code: str, name: str = "program") -> Program:
    return Program(name=name, command=(sys.executable, "-c", code), environment=dict(os.environ), grace_s=5.0)


@pytest.fixture
def started() -> Iterator[list[Supervised]]:
    """Programs to stop at the end."""
    programs: list[Supervised] = []
    yield programs
    stop_all(programs)
    assert not any(each.alive for each in programs)


def start(code: str, started: list[Supervised], tmp_path: Path, name: str = "program") -> Supervised:
    """Start and wait until it says that it is ready."""
    supervised = Supervised(program(code, name), tmp_path)
    started.append(supervised)
    wait_until(lambda: "ready" in supervised.log_tail())
    return supervised


def test_stop_all_stops_all(started: list[Supervised], tmp_path: Path) -> None:
    pids = [start(WAITS, started, tmp_path, name).pid for name in ("one", "two")]
    stop_all(started)
    assert not any(alive(pid) for pid in pids)


def test_a_program_that_ignores_sigterm_is_killed(started: list[Supervised], tmp_path: Path) -> None:
    stubborn = Supervised(
        Program(name="stubborn", command=(sys.executable, "-c", STUBBORN), environment=dict(os.environ), grace_s=0.1),
        tmp_path,
    )
    started.append(stubborn)
    wait_until(lambda: "ready" in stubborn.log_tail())
    stop_all([stubborn])
    assert not alive(stubborn.pid)


def test_a_dead_program_is_restarted(
    started: list[Supervised], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_DELAY_S", 0.01)
    one = start(WAITS, started, tmp_path)
    first = one.pid
    assert not one.revive()
    os.kill(first, signal.SIGKILL)
    wait_until(one.revive)
    assert one.alive
    assert one.pid != first
    assert one.restarts == 1


def test_back_off_grows_for_programs_that_die_early(
    started: list[Supervised], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_DELAY_S", 0.01)
    monkeypatch.setattr(supervisor, "RESTART_DELAY_MAX_S", 0.05)
    one = start(READY, started, tmp_path)
    began = time.monotonic()
    wait_until(lambda: one.revive() and one.restarts == 4)
    # 0.01 + 0.02 + 0.04 + 0.05 (the longest): a lower bound, whatever the machine does meanwhile.
    assert time.monotonic() - began >= 0.12


def test_an_early_end_shows_the_log(started: list[Supervised], tmp_path: Path) -> None:
    one = start(READY + "raise SystemExit('no checkpoint here')", started, tmp_path)
    wait_until(lambda: not one.alive)
    with pytest.raises(ProgramDied, match="no checkpoint here"):
        one.require_alive()


@pytest.mark.parametrize("module", ["worker", "jobs", "service", "cli", "rq"])
def test_files_of_the_working_folder_are_not_imported(
    module: str, started: list[Supervised], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{module}.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    command = (*supervisor.PYTHON, "-c", "import worker.__main__, service.app, cli.__main__; raise SystemExit(7)")
    one = Supervised(Program(name="one", command=command, environment=dict(os.environ), grace_s=5.0), tmp_path)
    started.append(one)
    wait_until(lambda: not one.alive, what="the end")
    assert one.status == 7, one.log_tail()


def test_a_program_that_says_it_is_misconfigured_stays_ended(
    started: list[Supervised], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_DELAY_S", 0.0)
    one = start(READY + f"raise SystemExit({os.EX_CONFIG})", started, tmp_path)
    wait_until(lambda: not one.alive, what="the end")
    assert one.misconfigured
    assert not any(one.revive() for _ in range(5))
