"""UNet passes and seconds per stage of the demo edit, by method and inversion (`make bench`).

One process, one thread, one edit after the other on the shipped checkpoint; the order is shuffled between repeats
and medians are reported, so that noise favours no variant. Compare ratios within one run.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from magedit.config import EditConfig
from magedit.demo import checkpoint_path, demo_edit
from magedit.measures.report import EditMeasures
from magedit.pipelines.mag_edit import MAGEditPipeline

VARIANTS = {
    "p2p, direct": EditConfig(method="p2p"),
    "mag-edit, direct": EditConfig(),
    "mag-edit, ddim": EditConfig(inversion="ddim"),
    "mag-edit, negative-prompt": EditConfig(inversion="negative-prompt"),
    "mag-edit, null-text": EditConfig(inversion="null-text"),
}
"""The compared methods and inversions; every other parameter has its default."""

STAGES = ("prepare", "invert", "optimize", "edit", "decode")


def measure(steps: int, repeats: int, seed: int) -> dict[str, list[EditMeasures]]:
    """Run every variant ``repeats`` times."""
    torch.set_num_threads(1)
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(checkpoint_path())
    edit = demo_edit()
    runs: dict[str, list[EditMeasures]] = {name: [] for name in VARIANTS}
    for repeat in range(repeats):
        order = list(VARIANTS)
        random.Random(seed + repeat).shuffle(order)
        for name in order:
            config = replace(VARIANTS[name], steps=steps)
            output = pipe(edit.image(), [edit.mask()], edit.source_prompt, edit.target_prompt, (), config)
            runs[name].append(output.measures)
    return runs


def summary(runs: dict[str, list[EditMeasures]]) -> dict[str, dict[str, float]]:
    """Medians per variant."""
    result = {}
    for name, measures in runs.items():
        row = {stage: statistics.median(m.stage_seconds.get(stage, 0.0) for m in measures) for stage in STAGES}
        row["seconds"] = statistics.median(sum(m.stage_seconds.values()) for m in measures)
        row["forward"] = measures[0].unet_forward
        row["truncated"] = measures[0].unet_truncated_forward
        row["backward"] = measures[0].unet_backward
        row["token ratio"] = statistics.median(m.after[0].token for m in measures)
        result[name] = row
    return result


def main() -> None:
    """Print the table and, if asked, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=EditConfig.steps)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    figures = summary(measure(asked.steps, asked.repeats, asked.seed))
    columns = ["forward", "truncated", "backward", *STAGES, "seconds", "token ratio"]
    table = Table(title=f"demo edit, {asked.steps} steps, median of {asked.repeats}, {platform.processor() or 'CPU'}")
    table.add_column("variant")
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in figures.items():
        table.add_row(name, *(f"{row[c]:.0f}" if c in columns[:3] else f"{row[c]:.2f}" for c in columns))
    Console(width=150).print(table)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
