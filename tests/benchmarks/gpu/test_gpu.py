"""The GPU benchmark, run whole with tiny models; parts that fail, hang or come too late cost themselves alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest

from benchmarks.gpu.parts import PARTS, TOGETHER
from benchmarks.gpu.run import BUDGET_S, LIMITS, run
from benchmarks.speed.tables import RELEASED
from magedit.config import PresetName

ROOT = Path(__file__).parents[3]


def test_every_part_has_a_limit_and_all_fit_into_eight_minutes() -> None:
    assert set(LIMITS) == set(PARTS)
    assert BUDGET_S < 8 * 60
    assert all(limit < BUDGET_S for limit in LIMITS.values())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_script_measures_every_part_in_one_call(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    # A busy machine takes longer than a GPU's: here no part is to be cut off.
    program = "import benchmarks.gpu.run as r; r.LIMITS.update(dict.fromkeys(r.LIMITS, 900)); r.main()"
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$2" = benchmarks.gpu ]; then shift 2; exec {sys.executable} -c "{program}" "$@"; fi\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    done = subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh", "--device", "cpu", "--quick", "--budget-s", "3000", "--out", str(out)],
        env={**os.environ, "PYTHON": str(python), "WHEELS": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    parts = report["parts"]
    assert {name: part["outcome"] for name, part in parts.items()} == dict.fromkeys(LIMITS, "done")
    figures = {name: part["figures"] for name, part in parts.items()}
    assert not [text for part in figures.values() for each in part.values() if (text := each.get("error"))]
    assert set(figures["edits"]) == {RELEASED, *get_args(PresetName)}
    assert set(figures["batches"]) == {str(number) for number in TOGETHER[:2]}
    assert max(figures["vectors"]["replace_word"].values()) < 0.1
    assert [edit["state"] for edit in figures["service"]["demo edit"]["edits"]] == ["succeeded"] * 2
    assert set(figures["workers"]) == {"1", "2"}


def test_missing_packages_are_named_before_anything_runs(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh"],
        env={"PATH": os.environ["PATH"], "PYTHON": str(python), "WHEELS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("missing: accelerate diffusers fastapi")
    assert "--fetch" in done.stderr


@pytest.fixture
def _program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What stands in for a part's process: it notes a figure, then does what its part's name says."""
    file = tmp_path / "part"
    file.write_text(
        f"#!{sys.executable}\n"
        "import json, subprocess, sys, time\n"
        "name, out = sys.argv[3], sys.argv[sys.argv.index('--out') + 1]\n"
        "with open(out, 'a') as file:\n"
        "    file.write(json.dumps({'what': 'first', 'figures': {'s': 1}}) + '\\n' + '{\"what\": \"cut')\n"
        "if name == 'edits':\n"
        "    print('no such card')\n"
        "    sys.exit(1)\n"
        "if name == 'memory':\n"
        f"    child = subprocess.Popen(['sleep', '600'])\n"
        f"    open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        "    time.sleep(600)\n"
    )
    file.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(file))


@pytest.mark.usefixtures("_program")
def test_figures_of_a_failed_or_hanging_part_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    limits = {"edits": 60.0, "memory": 5.0, "device": 60.0}
    report = run(list(limits), device="cpu", quick=True, out=out, budget_s=300, limits=limits)
    assert json.loads(out.read_text()) == report
    parts = report["parts"]
    assert [part["outcome"] for part in parts.values()] == ["failed", "timed out", "done"]
    assert all(part["figures"] == {"first": {"s": 1}} for part in parts.values())
    assert parts["edits"]["log"] == ["no such card"]
    assert _is_gone(int((tmp_path / "child").read_text()))


def _is_gone(pid: int) -> bool:
    """Whether a process has ended, after a moment in which it may."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.usefixtures("_program")
def test_a_part_is_not_started_without_time_left(tmp_path: Path) -> None:
    report = run(["device"], device="cpu", quick=True, out=tmp_path / "gpu.json", budget_s=1.0)
    assert report["parts"]["device"]["outcome"] == "not begun"
