"""Training loop of all stages: schedule, data parallelism, snapshots that survive a kill, curves, progress."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import torch
import torch.distributed as dist
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from recipes.presets.parameters import Schedule
from recipes.training.muon import optimizers

LOG_EVERY: Final = 25
"""Steps averaged into one line of a curve."""


class Stage(Protocol):
    """One model to train."""

    name: str
    model: nn.Module
    schedule: Schedule
    average: float
    """Decay per step of the averaged weights; 0 for none."""

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        """Loss of a batch that `seed` alone determines, and figures to log; `progress` is in [0, 1)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where and how a training process runs."""

    state: Path
    """Folder of snapshots and curves."""
    seed: int
    rank: int = 0
    processes: int = 1
    snapshot_s: float = 60.0
    deadline: float | None = None
    """`time.monotonic()` at which to stop after a snapshot."""


class OutOfBudgetError(RuntimeError):
    """The time budget of this call is spent; the same command resumes."""


def rate(schedule: Schedule, seen: int) -> float:
    """The learning rate's factor in (0, 1] after `seen` samples."""
    warm = min(1.0, (seen + schedule.batch) / max(schedule.warmup, 1))
    left = max(0.0, 1 - seen / schedule.samples) / schedule.decay
    return warm * max(schedule.floor, min(1.0, left))


def save_atomically(content: object, path: Path) -> None:
    """Writes a torch file atomically: a kill leaves the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def snapshot_path(run: Run, stage: str) -> Path:
    """The one snapshot file of a stage."""
    return run.state / f"{stage}.pt"


def _share_gradients(model: nn.Module, processes: int, late: bool) -> bool:
    """Replaces each gradient by its mean over the processes; whether any process is late."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), gradients[0].new_tensor([float(late)])])
    dist.all_reduce(flat)
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, total in zip(gradients, torch.split(flat[:-1], sizes), strict=True):
        gradient.copy_(total.view_as(gradient) / processes)
    return bool(flat[-1] > 0)


def _bar(run: Run) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[figures]}"), console=Console(stderr=True), disable=run.rank > 0)


def train(stage: Stage, run: Run) -> None:
    """Trains a stage from its last snapshot to its end; leaves the averaged weights (if any) in the model.

    Raises:
        OutOfBudgetError: the deadline passed first; a snapshot was written.
    """
    schedule, model = stage.schedule, stage.model
    tools = optimizers(model, schedule.muon, schedule.adam, run.rank, run.processes)
    averaged = {name: value.detach().clone() for name, value in model.state_dict().items()}
    seen = step = 0
    path = snapshot_path(run, stage.name)
    if path.exists():
        kept: dict[str, Any] = torch.load(path, map_location=next(model.parameters()).device, weights_only=True)
        model.load_state_dict(kept["model"])
        averaged = kept["averaged"]
        for tool, memory in zip(tools, kept["optimizers"], strict=True):
            tool.load_state_dict(memory)
        seen, step = kept["seen"], kept["step"]

    def keep() -> None:
        if run.rank == 0:
            state = {"model": model.state_dict(), "averaged": averaged, "seen": seen, "step": step}
            save_atomically(state | {"optimizers": [tool.state_dict() for tool in tools]}, path)

    model.train()
    started = kept_at = time.monotonic()
    first = seen
    curve = run.state / f"{stage.name}.jsonl"
    sums: dict[str, float] = {}
    summed = 0
    with _bar(run) as bar:
        task = bar.add_task(stage.name, total=schedule.samples, completed=seen, figures="")
        while seen < schedule.samples:
            factor = rate(schedule, seen)
            for tool, full in zip(tools, (schedule.muon, schedule.adam), strict=True):
                tool.zero_grad(set_to_none=True)
                for group in tool.param_groups:
                    group["lr"] = full * factor
            loss, figures = stage.loss(f"{run.seed}/{stage.name}/{step}/{run.rank}", seen / schedule.samples)
            loss.backward()  # type: ignore[no-untyped-call]
            late = run.deadline is not None and time.monotonic() > run.deadline
            if run.processes > 1:
                late = _share_gradients(model, run.processes, late)  # all processes stop at the same step
            for tool in tools:
                tool.step()
            if stage.average:
                # a short memory at first, else the random start would stay in the average for long
                memory_left = min(stage.average, (1 + step) / (10 + step))
                for name, value in model.state_dict().items():
                    averaged[name].lerp_(value, 1 - memory_left)
            step += 1
            seen += schedule.batch * run.processes
            bar.update(task, completed=seen)
            for name, value in ({"loss": loss.item()} | figures).items():
                sums[name] = sums.get(name, 0.0) + value
            summed += 1
            if step % LOG_EVERY == 0 or seen >= schedule.samples:
                if run.rank == 0:
                    means = {name: round(value / summed, 5) for name, value in sums.items()}
                    elapsed = time.monotonic() - started
                    line = {
                        "seen": seen,
                        "rate": round(factor, 4),
                        **means,
                        "samples_s": round((seen - first) / elapsed, 2),
                    }
                    with curve.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                    bar.update(task, figures=" ".join(f"{name} {mean:.4g}" for name, mean in means.items()))
                sums, summed = {}, 0
            if late or time.monotonic() - kept_at > run.snapshot_s or seen >= schedule.samples:
                keep()
                kept_at = time.monotonic()
            if late and seen < schedule.samples:
                raise OutOfBudgetError(f"{stage.name} stopped at {seen} of {schedule.samples} samples: run again")
    if stage.average:
        model.load_state_dict(averaged)
    model.eval()
