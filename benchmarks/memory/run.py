"""Memory of an edit on a checkpoint of Stable Diffusion 1.x size with random weights (`make bench-memory`).

Counted as in `benchmarks.memory.tensors`. ``--limit``: fail if a default edit takes more MiB.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.memory.tensors import MIB, Living
from benchmarks.speed.sd import sd_pipeline, weights
from cli.processes.stack import Stack
from jobs.schema import ArtifactName
from jobs.settings import Settings
from magedit.client import Client
from magedit.config import EditConfig, Region
from magedit.measures.passes import BATCH_RESULTS
from magedit.measures.report import Progress
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.pipelines.output import MAGEditOutput

LIMIT_MIB = 4096.0
"""Limit of an edit with default settings, so that a worker fits a card of 8 GB."""


def peaks(pipe: MAGEditPipeline, config: EditConfig) -> tuple[dict[str, float], MAGEditOutput]:
    """Peak MiB of each stage of one edit, weights included; and the edit."""
    size = pipe.size
    image = Image.effect_noise((size, size), 60).convert("RGB")
    mask = Image.new("L", (size, size))
    mask.paste(255, (size // 4, size // 4, size // 2, size // 2))
    found: dict[str, float] = {}
    parts = pipe.backbone.parts
    with Living(tensor for part in parts for tensor in (*part.parameters(), *part.buffers())) as living:

        def note(progress: Progress) -> None:
            found[progress.stage] = max(found.get(progress.stage, 0.0), living.peak / MIB)
            living.restart()

        output = pipe(image, [mask], "a room", "a red room", [Region(words=("red",))], config, on_progress=note)
        found["end"] = living.peak / MIB
    return found, output


def resident_mib(pid: int) -> float:
    """Resident memory of a process, MiB (VmRSS of proc(5))."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def growth(edits: int, config: EditConfig) -> dict[str, float]:
    """Resident MiB of a demo worker after the first tenth of ``edits`` edits, and after all of them.

    Without cached inversions; every second edit makes all artifacts.
    """
    image = Image.effect_noise((256, 256), 60).convert("RGB")
    found = {}
    with tempfile.TemporaryDirectory(prefix="magedit-") as folder:
        settings = Settings(state_dir=Path(folder), api_port=0, inversion_ttl_s=0)
        with Stack(settings, workers=1, embedded=True) as stack, Client(stack.url) as client:
            stack.wait_ready()
            (worker,) = (each.pid for each in stack.processes if each.program.name.startswith("worker"))
            for number in range(1, edits + 1):
                mask, left = Image.new("L", image.size), 4 + number % 120
                mask.paste(255, (left, left, left + 64, left + 64))
                asked = client.submit(
                    _png(image),
                    [_png(mask)],
                    source_prompt="a room",
                    target_prompt="a red room",
                    steps=config.steps,
                    max_iterations=config.max_iterations,
                    artifacts=get_args(ArtifactName) if number % 2 else (),
                )
                client.wait(asked.id)
                if number in {max(1, edits // 10), edits}:
                    found[str(number)] = resident_mib(worker)
    return found


def _png(image: Image.Image) -> bytes:
    target = BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def main() -> int:
    """Print the table and the figures as JSON; returns 1 if a default edit exceeds the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--steps", type=int, default=2, help="the peak does not depend on them")
    parser.add_argument("--results", type=int, default=BATCH_RESULTS, help="results of the batched edit")
    parser.add_argument("--edits", type=int, default=0, help="also measure a worker over this many demo edits")
    parser.add_argument("--limit", type=float, default=LIMIT_MIB, help="largest MiB of a default edit")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    config = EditConfig(steps=asked.steps, max_iterations=2).closed()
    pipe = sd_pipeline(getattr(torch, asked.dtype))
    figures: dict[str, Any] = {
        name: sum(t.untyped_storage().nbytes() for t in part) / MIB for name, part in weights(pipe).items()
    }
    figures["default"] = peaks(pipe, config)[0]
    together = f"{asked.results} results"
    figures[together] = peaks(pipe, replace(config, n=asked.results))[0]
    pipe.unet.enable_gradient_checkpointing()
    figures["gradient checkpointing"] = peaks(pipe, config)[0]
    table = Table("", *figures["default"], title=f"peak MiB of an edit at {pipe.size} px, {asked.dtype}")
    for name in ("default", together, "gradient checkpointing"):
        table.add_row(name, *(f"{value:.0f}" for value in figures[name].values()))
    console = Console(width=120)
    console.print(table)
    del pipe
    gc.collect()
    if asked.edits:
        figures["resident after edits"] = growth(asked.edits, EditConfig(steps=4, max_iterations=2).closed())
    console.print_json(json.dumps(figures))
    peak = max(figures["default"].values())
    if peak > asked.limit:
        console.print(f"a default edit takes {peak:.0f} MiB, more than {asked.limit:.0f}")
    return int(peak > asked.limit)
