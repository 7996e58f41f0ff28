"""The GPU benchmark, run whole with tiny models; parts that fail, hang or come too late cost themselves alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any, get_args

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.gpu.parts import PARTS, TOGETHER
from benchmarks.gpu.run import BUDGET_S, LIMITS, run
from benchmarks.speed.tables import RELEASED
from magedit.config import PresetName

ROOT = Path(__file__).parents[3]
THERE = frozenset(
    [
        "accelerate",
        "anyio",
        "certifi",
        "charset-normalizer",
        "click",
        "filelock",
        "fsspec",
        "h11",
        "hf-xet",
        "httpcore",
        "httpcore2",
        "httpx",
        "httpx2",
        "huggingface-hub",
        "idna",
        "iniconfig",
        "jinja2",
        "markdown-it-py",
        "markupsafe",
        "mdurl",
        "mpmath",
        "networkx",
        "numpy",
        "packaging",
        "peft",
        "pillow",
        "pluggy",
        "prometheus-client",
        "psutil",
        "pygments",
        "pytest",
        "python-dateutil",
        "pyyaml",
        "regex",
        "requests",
        "rich",
        "safetensors",
        "setuptools",
        "shellingham",
        "six",
        "sympy",
        "tokenizers",
        "torch",
        "tqdm",
        "truststore",
        "typer",
        "urllib3",
        "uvloop",
        "zipp",
    ]
)
"""Packages of a machine on which PyTorch and transformers are used."""


def test_every_part_has_a_limit_and_all_fit_into_eight_minutes() -> None:
    assert set(LIMITS) == set(PARTS)
    assert BUDGET_S < 8 * 60
    assert all(limit < BUDGET_S for limit in LIMITS.values())


def _quick_run(parts: list[str], folder: Path) -> dict[str, Any]:
    """Figures by part of the script's dry run."""
    out = folder / "gpu.json"
    # A busy machine takes longer than a GPU's: here no part is to be cut off.
    program = "import benchmarks.gpu.run as r; r.LIMITS.update(dict.fromkeys(r.LIMITS, 900)); r.main()"
    python = folder / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$2" = benchmarks.gpu ]; then shift 2; exec {sys.executable} -c "{program}" "$@"; fi\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    options = ["--device", "cpu", "--quick", "--budget-s", "3000", "--out", str(out), "--parts", *parts]
    done = subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh", *options],
        env={**os.environ, "PYTHON": str(python), "WHEELS": str(folder / "none")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(out.read_text())["parts"]
    assert {name: part["outcome"] for name, part in told.items()} == dict.fromkeys(parts, "done")
    figures = {name: part["figures"] for name, part in told.items()}
    assert not [text for part in figures.values() for each in part.values() if (text := each.get("error"))]
    return figures


@pytest.mark.timeout(1800)
def test_the_script_measures_the_parts_in_one_call(tmp_path: Path) -> None:
    figures = _quick_run([name for name in LIMITS if name != "vectors"], tmp_path)
    assert set(figures["edits"]) == {RELEASED, *get_args(PresetName)}
    assert set(figures["batches"]) == {str(number) for number in TOGETHER[:2]}
    assert [edit["state"] for edit in figures["service"]["demo edit"]["edits"]] == ["succeeded"] * 2
    assert set(figures["workers"]) == {"1", "2"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_script_compares_the_recorded_vectors(tmp_path: Path) -> None:
    figures = _quick_run(["vectors"], tmp_path)
    assert max(figures["vectors"]["replace_word"].values()) < 0.1


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
    assert done.stderr.startswith("missing: accelerate annotated-types diffusers fastapi")
    assert "--fetch" in done.stderr


def _first(out: Path) -> None:
    """Store a figure and the beginning of another, as a part that is killed leaves them."""
    out.write_text(json.dumps({"what": "first", "figures": {"s": 1}}) + '\n{"what": "cut')


def test_figures_of_a_failed_or_hanging_part_are_kept(tmp_path: Path) -> None:
    def fails(device: str, quick: bool, out: Path) -> None:
        _first(out)
        os.write(1, f"no such card: {device}, {quick}\n".encode())  # pytest has replaced sys.stdout
        raise SystemExit(1)

    def hangs(_device: str, _quick: bool, out: Path) -> None:
        _first(out)
        child = subprocess.Popen(["sleep", "600"])
        (tmp_path / "child").write_text(str(child.pid))
        time.sleep(600)

    def works(_device: str, _quick: bool, out: Path) -> None:
        _first(out)

    out = tmp_path / "gpu.json"
    limits = {"edits": 60.0, "memory": 5.0, "device": 60.0}
    parts = {"edits": fails, "memory": hangs, "device": works}
    report = run(list(limits), parts, device="cpu", quick=True, out=out, budget_s=300, limits=limits)
    assert json.loads(out.read_text()) == report
    told = report["parts"]
    assert [part["outcome"] for part in told.values()] == ["failed", "timed out", "done"]
    assert all(part["figures"] == {"first": {"s": 1}} for part in told.values())
    assert told["edits"]["log"] == ["no such card: cpu, True"]
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


def test_a_part_is_not_started_without_time_left(tmp_path: Path) -> None:
    report = run(["device"], {}, device="cpu", quick=True, out=tmp_path / "gpu.json", budget_s=1.0)
    assert report["parts"]["device"]["outcome"] == "not begun"


def _needed(names: set[str], found: set[str]) -> set[str]:
    """Packages and what they need in their turn, on the machine of the wheels."""
    for name in names - found:
        found.add(name)
        lines = [Requirement(line) for line in requires(name) or ()]
        machine = {"python_version": "3.12", "python_full_version": "3.12.3", "extra": ""}
        _needed(
            {canonicalize_name(each.name) for each in lines if not each.marker or each.marker.evaluate(machine)}, found
        )
    return found


def test_every_package_needed_is_among_the_wheels_or_on_a_machine_that_runs_transformers() -> None:
    packages = re.search(r'^packages="([^"]+)"', (ROOT / "benchmarks" / "gpu.sh").read_text(), re.MULTILINE)
    assert packages
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["service"], *extras["worker"], *extras["embedded"], "pytest"]
    needed = _needed({canonicalize_name(Requirement(line).name) for line in lines}, set())
    wheels = {canonicalize_name(name) for name in packages[1].split()}
    assert needed - THERE - wheels == set()
    assert wheels <= needed | {"annotated-doc", "typing-extensions"}
