"""Sequential runner of the GPU benchmark's parts, each in a process with a time limit.

Modules are imported once, before anything is measured, and every part is a fork: on a machine that stores no bytecode
an import takes longer than most parts. At its time limit, a part's figures are kept and the next one starts. The output
file is complete after every part. Use `benchmarks/gpu.sh` on a machine with only PyTorch.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from rich.console import Console

MODULES = (
    "benchmarks.gpu.parts",
    "cli.processes.stack",
    "cli.processes.embedded_redis",
    "magedit.client",
    "magedit.demo",
    "pytest",
    "service.app",
    "tests.magedit.backbones.sdxl.tiny",
    "tests.magedit.conftest",
    "tests.magedit.pipelines.test_vectors",
    "worker.__main__",
)
"""Modules that the parts use: what cannot be imported is known before anything is measured."""
Part = Callable[[str, bool, Path], None]
"""A part: device, whether with tiny models, and file of its figures."""
LIMITS: dict[str, float] = {
    "device": 20,
    "edits": 250,
    "service": 60,
    "memory": 30,
    "sdxl": 60,
    "compiling": 80,
    "workers": 60,
    "batches": 40,
    "vectors": 60,
}
"""Time limit of each part in seconds, in order of execution: the most important first."""
BUDGET_S = 460.0
"""Time limit of all parts together, in seconds."""
LEAST_S = 10.0
"""A part is not started with fewer seconds left."""
LOG_LINES = 20
"""Number of last output lines kept for a failed part."""


def parts() -> Mapping[str, Part]:
    """Every part by name; imports everything that they use.

    Raises:
        ImportError: a package is missing.
    """
    for name in MODULES:
        importlib.import_module(name)
    from benchmarks.gpu.parts import PARTS, run_here

    return {name: partial(run_here, name) for name in PARTS}


def run(
    names: list[str],
    parts: Mapping[str, Part],
    *,
    device: str,
    quick: bool,
    out: Path,
    budget_s: float,
    limits: Mapping[str, float] = LIMITS,
) -> dict[str, Any]:
    """Run the parts ``names`` and write ``out`` after each: its outcome (``done``, ``timed out``, ``failed``,
    ``not begun``), seconds and figures.

    Args:
        names: of `LIMITS`.
        parts: what to call, by name.
        device: torch device.
        quick: tiny models and few steps, to see that everything runs.
        out: file of the figures, JSON.
        budget_s: seconds for all of them.
        limits: seconds for each.
    """
    console, began = Console(soft_wrap=True), time.monotonic()
    report: dict[str, Any] = {"device": device, "quick": quick, "parts": {}}
    for name in names:
        left = budget_s - (time.monotonic() - began)
        if left < LEAST_S:
            part: dict[str, Any] = {"outcome": "not begun", "seconds": 0.0, "figures": {}}
        else:
            part = run_part(parts[name], device=device, quick=quick, limit_s=min(limits[name], left))
        report["parts"][name] = part
        report["seconds"] = round(time.monotonic() - began, 1)
        fresh = out.with_name(f"{out.name}.{os.getpid()}.tmp")
        fresh.write_text(json.dumps(report, indent=1) + "\n")
        fresh.replace(out)
        console.print(f"{name}: {part['outcome']} after {part['seconds']} s", markup=False, highlight=False)
        for line in part.get("log", ()):
            console.print(f"    {line}", markup=False, highlight=False)
    return report


def run_part(part: Part, *, device: str, quick: bool, limit_s: float) -> dict[str, Any]:
    """Run one part in a fork, killed with all its children after ``limit_s`` seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="magedit-gpu-") as folder:
        figures, log = Path(folder) / "figures.jsonl", Path(folder) / "log"
        process = multiprocessing.get_context("fork").Process(
            target=_in_own_group, args=(part, device, quick, figures, log)
        )
        process.start()
        try:
            process.join(limit_s)
            outcome = {None: "timed out", 0: "done"}.get(process.exitcode, "failed")
        finally:
            _end(process)
        told: dict[str, Any] = {"outcome": outcome, "seconds": round(time.monotonic() - began, 1)}
        told["figures"] = _figures(figures)
        if outcome != "done":
            told["log"] = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
    return told


def _in_own_group(part: Part, device: str, quick: bool, figures: Path, log: Path) -> None:
    """A part in a process group of its own, whose output goes to ``log``."""
    os.setsid()
    with log.open("w") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    part(device, quick, figures)


def _end(process: ForkProcess) -> None:
    """End the process's whole group, which its children are in."""
    pid = process.pid
    if pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        # The group does not exist before the process has made it.
        process.kill()
    process.join()


def _figures(path: Path) -> dict[str, Any]:
    """The figures of a part, however it ended."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return {each["what"]: each["figures"] for each in (json.loads(line) for line in lines if line.endswith("\n"))}


def main() -> None:
    """Run the requested parts; returns 1 if one of them is not done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny models and few steps, to see that everything runs")
    parser.add_argument("--parts", nargs="*", choices=list(LIMITS), default=list(LIMITS), help="these alone")
    parser.add_argument("--budget-s", type=float, default=BUDGET_S, help="seconds for all of them")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="file of the figures")
    asked = parser.parse_args()
    try:
        found = parts()
    except ImportError as error:
        sys.exit(
            f'missing: {error}; fetch its package as MORE="..." benchmarks/gpu.sh --fetch, where there is a network'
        )
    report = run(asked.parts, found, device=asked.device, quick=asked.quick, out=asked.out, budget_s=asked.budget_s)
    sys.exit(any(part["outcome"] != "done" for part in report["parts"].values()))


if __name__ == "__main__":
    main()
