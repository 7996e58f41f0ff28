"""Sequential runner of the GPU benchmark's parts, each in a process with a time limit.

At its time limit, a part's figures are kept and the next one starts. The output file is complete after every part. Use
`benchmarks/gpu.sh` on a machine with only PyTorch.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

LIMITS: dict[str, float] = {
    "device": 30,
    "edits": 170,
    "vectors": 60,
    "service": 60,
    "memory": 50,
    "batches": 50,
    "sdxl": 80,
    "workers": 70,
    "compiling": 110,
}
"""Time limit of each part in seconds, in order of execution: the most important first."""
BUDGET_S = 460.0
"""Time limit of all parts together, in seconds."""
LEAST_S = 10.0
"""A part is not started with fewer seconds left."""
LOG_LINES = 20
"""Number of last output lines kept for a failed part."""


def run(
    names: list[str], *, device: str, quick: bool, out: Path, budget_s: float, limits: dict[str, float] = LIMITS
) -> dict[str, Any]:
    """Run the parts ``names`` and write ``out`` after each: its outcome (``done``, ``timed out``, ``failed``,
    ``not begun``), seconds and figures.

    Args:
        names: of `LIMITS`.
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
            part = run_part(name, device=device, quick=quick, limit_s=min(limits[name], left))
        report["parts"][name] = part
        report["seconds"] = round(time.monotonic() - began, 1)
        fresh = out.with_name(f"{out.name}.{os.getpid()}.tmp")
        fresh.write_text(json.dumps(report, indent=1) + "\n")
        fresh.replace(out)
        console.print(f"{name}: {part['outcome']} after {part['seconds']} s", markup=False, highlight=False)
        for line in part.get("log", ()):
            console.print(f"    {line}", markup=False, highlight=False)
    return report


def run_part(name: str, *, device: str, quick: bool, limit_s: float) -> dict[str, Any]:
    """Run one part in a separate process, killed with all its children after ``limit_s`` seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="magedit-gpu-") as folder:
        figures, log = Path(folder) / "figures.jsonl", Path(folder) / "log"
        command = [sys.executable, "-m", "benchmarks.gpu.parts", name, "--device", device, "--out", str(figures)]
        with log.open("w") as output:
            process = subprocess.Popen(
                [*command, *(["--quick"] if quick else [])],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(limit_s)
                outcome = "failed" if code else "done"
            except subprocess.TimeoutExpired:
                outcome = "timed out"
            finally:
                _end(process)
        part: dict[str, Any] = {"outcome": outcome, "seconds": round(time.monotonic() - began, 1)}
        part["figures"] = _figures(figures)
        if outcome != "done":
            part["log"] = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return part


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process's whole group, which its children are in."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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
    report = run(asked.parts, device=asked.device, quick=asked.quick, out=asked.out, budget_s=asked.budget_s)
    sys.exit(any(part["outcome"] != "done" for part in report["parts"].values()))


if __name__ == "__main__":
    main()
