"""A short soak with real processes: a few faults of each kind, then a count in which nothing is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import alive, command_line, descendants, wait_until
from tests.soak.evidence import journal
from tests.soak.plan import CALM_KILLS, ON_WORKER, Fault, short
from tests.soak.soak import PLANTED, Report, run

# On any machine, however busy: what is held to a time is held by `make soak`.
PLAN = replace(short(seed=7), timed=False, drain_s=1800.0)

# A minute of computing in ten processes: minutes on a busy machine.
pytestmark = pytest.mark.timeout(3600)

INTERRUPTED_AFTER = 3
"""Faults, then the soak itself is killed."""


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """A soak that was killed and went on."""
    folder = tmp_path_factory.mktemp("soak")
    (folder / "plan.json").write_text(json.dumps(PLAN.to_json()))
    command = [sys.executable, "-m", "tests.soak", "--resume", "--folder", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as first:
        wait_until(lambda: first.poll() is not None or faults(folder) >= INTERRUPTED_AFTER, 900, "some faults")
        started = descendants(first.pid)
        commands = {pid: command_line(pid) for pid in started}
        first.kill()
    wait_until(lambda: not any(map(alive, started)), 300, f"the end of {commands}")
    return folder, run(folder, PLAN, lambda _: None)


def faults(folder: Path) -> int:
    """How many were carried out."""
    return len(journal.of(journal.read(folder / "journal.jsonl"), "fault"))


def test_no_accepted_edit_is_lost(soaked: tuple[Path, Report]) -> None:
    _, report = soaked
    assert report["violations"] == []
    assert report["runs"] == 2
    # Where no disk can be filled, that is told.
    skipped = report["faults_skipped"]
    assert skipped == ({} if report["disk_could_be_full"] else {Fault.FILL_STORAGE: 1})
    assert report["faults"] | skipped == PLAN.faults
    assert set(PLAN.faults) == set(Fault)
    assert report["accepted"] >= PLAN.jobs
    assert report["records"] == report["accepted"] + report["recorded_and_answer_lost"]
    assert report["states"]["succeeded"] > 0


def test_edit_of_a_killed_worker_is_restarted(soaked: tuple[Path, Report]) -> None:
    _, report = soaked
    held = report["recovery_held_to_the_bound"]
    assert held["count"] >= CALM_KILLS
    assert held["bound_s"] <= 2 * PLAN.lease_s


def test_edits_expire_and_orphans_are_removed_during_faults(soaked: tuple[Path, Report]) -> None:
    _, report = soaked
    assert report["expired"] > 0
    # The first run may have died before it left any.
    assert report["orphans_planted_and_swept"] >= PLANTED


def test_kills_hit_busy_processes(soaked: tuple[Path, Report]) -> None:
    folder, _ = soaked
    lines = journal.read(folder / "journal.jsonl")
    deaths = Counter(line["role"] for line in journal.of(lines, "death") if line["status"] == -9)
    # One each may have died with the first run, unseen.
    expected = {"worker": 4, "front": 2, "reaper": 1, "redis": 1, "storage": 1}
    assert sum((Counter(expected) - deaths).values()) <= 1
    started = {line["pid"] for line in journal.of(lines, "start")}
    assert {line["pid"] for line in journal.of(lines, "fault") if line["fault"] in ON_WORKER} <= started
