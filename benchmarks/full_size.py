"""Time and memory per stage of a short edit on a full-size checkpoint with random weights.

Memory is counted as in `benchmarks.memory.tensors`, next to the estimate of `magedit models check`.
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.memory.run import peaks
from benchmarks.memory.tensors import MIB
from benchmarks.speed.sd import sd_pipeline, sdxl_pipeline
from magedit.backbones.memory.estimate import count
from magedit.backbones.memory.weightless import Weightless
from magedit.config import EditConfig
from magedit.pipelines.mag_edit import MAGEditPipeline

FAMILIES = {"sd": sd_pipeline, "sdxl": sdxl_pipeline}
"""Factory of a random checkpoint by family."""


def measure(pipe: MAGEditPipeline, size: int, config: EditConfig) -> dict[str, Any]:
    """The figures of one edit of a picture of ``size`` px; the pipeline has no weights afterwards."""
    backbone: Any = pipe.backbone
    backbone.unet.register_to_config(sample_size=size // backbone.vae_factor)
    start = perf_counter()
    found, output = peaks(pipe, config)
    seconds = perf_counter() - start
    measures = output.measures
    figures = {
        "size": pipe.size,
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "parameters": sum(each.numel() for part in backbone.parts for each in part.parameters()),
        "seconds": round(seconds, 1),
        "stage_seconds": {name: round(each, 1) for name, each in measures.stage_seconds.items()},
        "peak_mib": {name: round(each) for name, each in found.items()},
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "passes": [measures.unet_forward, measures.unet_truncated_forward, measures.unet_backward],
        "finite": bool(output.edited[0].latent.isfinite().all()),
        "outside_difference": measures.outside_difference,
    }
    backbone.to("meta")
    modules = {name: part for name, part in backbone.components.items() if isinstance(part, nn.Module)}
    memory = count(Weightless(backbone, modules))
    return figures | {"counted_mib": {"whole": round(memory.whole / MIB), "low_memory": round(memory.low / MIB)}}


def main() -> None:
    """Print the stages as a table and all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=list(FAMILIES), default="sdxl")
    parser.add_argument("--size", type=int, default=512, help="side of the picture, in px")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--steps", type=int, default=2, help="half of them are guided, with one update each")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    start = perf_counter()
    pipe = FAMILIES[asked.family](getattr(torch, asked.dtype))
    drawing = round(perf_counter() - start, 1)
    config = EditConfig(steps=asked.steps, max_iterations=1, stop_margin=0.0)
    figures = {"family": asked.family, "drawing_seconds": drawing, **measure(pipe, asked.size, config)}
    table = Table(
        "stage", "s", "peak MiB", title=f"{asked.family}, {asked.size} px, {asked.dtype}, {asked.steps} steps"
    )
    for name, seconds in figures["stage_seconds"].items():
        table.add_row(name, f"{seconds:.1f}", f"{figures['peak_mib'].get(name, 0)}")
    console = Console(width=100)
    console.print(table)
    console.print_json(json.dumps(figures))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
