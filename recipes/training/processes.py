"""A recipe in several processes of one thread each, which average their gradients."""

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from recipes.training.loop import Run

Work = Callable[[Run], None]
"""The work of every process; it must be picklable."""


def _join(work: Work, meeting: str, run: Run, budget_s: float | None) -> None:
    torch.set_num_threads(1)
    deadline = None if budget_s is None else time.monotonic() + budget_s
    if run.processes > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=run.rank, world_size=run.processes)
    try:
        work(replace(run, deadline=deadline))
    finally:
        if run.processes > 1:
            dist.destroy_process_group()


def train_in_processes(work: Work, run: Run, *, processes: int = 1, budget_s: float | None = None) -> None:
    """Runs the work in this process and `processes - 1` others, each with its own rank in `run`.

    Raises:
        OutOfBudgetError: `budget_s` seconds passed; the same call resumes from the snapshots.
    """
    run.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        runs = [replace(run, rank=rank, processes=processes) for rank in range(processes)]
        spawn = multiprocessing.get_context("spawn")
        others = [spawn.Process(target=_join, args=(work, meeting, other, budget_s), daemon=True) for other in runs[1:]]
        for other in others:
            other.start()
        try:
            _join(work, meeting, runs[0], budget_s)
        finally:
            for other in others:
                other.join(timeout=30)
