"""Time of the presets against the released program's schedule, in one run on one device (`make bench-speed`).

Whole edits with the demo checkpoint; with `--sd` also the passes of a random UNet of Stable Diffusion 1.x size, times
the passes that the demo's edits took, and with `--sd-edits` whole edits with a random checkpoint of that size.

Seconds are process time on a CPU (one thread; other load does not count) and wall time on a GPU. FLOPs are the UNet's,
counted by `torch.utils.flop_counter` once per kind of pass, times the rows that went through, without injection: it
needs less, no queries, keys and scores where a self attention is injected. The peak is that of the same device's matrix
product in the same number format. Peak memory is that of an edit of few steps: it does not depend on them. Every figure
is stored at once: `--resume` continues after a kill.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from rich.console import Console

from benchmarks.speed.costs import Bench, Cost, Journal, demo_job, median
from benchmarks.speed.counters import Clock
from benchmarks.speed.passes import PassBench, Passes, medians, pass_flops, pass_seconds
from benchmarks.speed.sd import SD_UNET, sd_pipeline
from benchmarks.speed.tables import RELEASED, show, show_extrapolated, show_passes
from magedit.backbones.base import Backbone
from magedit.backbones.checkpoints.fingerprint import fingerprint
from magedit.config import EditConfig, PresetName
from magedit.demo import checkpoint_path
from magedit.pipelines.mag_edit import MAGEditPipeline

SD_SIDES = (64, 16)
"""Sides of Stable Diffusion 1.x's latent and of the maps that guidance reads."""


ROWS = (RELEASED, *get_args(PresetName))
"""The rows of the table: the released schedule and the presets."""
PRESET_OF: Mapping[str, PresetName] = {RELEASED: "exact", **{name: name for name in get_args(PresetName)}}
"""The parameters of each row."""


def compare(
    exact: Bench,
    others: Bench,
    repeats: int,
    journal: Journal,
    *,
    rows: Sequence[str] = ROWS,
    label: str = "",
    **changes: Any,
) -> dict[str, Cost]:
    """The ``rows`` in turns; the released schedule and `exact` by ``exact``, the rest by ``others``.

    ``changes`` are parameters of all of them.
    """
    runs: dict[str, list[Cost]] = {}
    for n in range(repeats):
        for name in rows:
            config = EditConfig.preset(PRESET_OF[name], **changes).closed()
            bench = exact if name in {RELEASED, "exact"} else others
            run = bench.released if name == RELEASED else bench.preset
            runs.setdefault(name, []).append(journal.cost(f"{label}{name} {n}", partial(run, config)))
    return {name: median(costs) for name, costs in runs.items()}


def growth(bench: Bench, journal: Journal, **changes: Any) -> dict[str, dict[str, Cost]]:
    """How an edit's cost grows with steps, updates and regions, one thing at a time from 10 steps of `balanced`."""
    base = replace(EditConfig(), **{"steps": 10, **changes})
    halves = tuple(_half(bench.job.masks[0], side) for side in (0, 1))
    two = replace(bench, job=replace(bench.job, masks=halves, regions=bench.job.regions * 2))
    steps, updates = (base.steps, 2 * base.steps, 4 * base.steps), (5, 10, 20)
    plans = {
        "steps": {str(n): (bench, replace(base, steps=n)) for n in steps},
        "updates": {
            f"{n}, one gradient each": (bench, replace(base, max_iterations=n, gradient_tolerance=0.0)) for n in updates
        }
        | {str(n): (bench, replace(base, max_iterations=n)) for n in updates},
        "regions": {"1": (bench, base), "2": (two, base)},
    }
    return {
        what: {name: journal.cost(f"{what} {name}", partial(by.preset, config)) for name, (by, config) in plan.items()}
        for what, plan in plans.items()
    }


def _half(mask: Image.Image, side: int) -> Image.Image:
    """The left or right half of a mask's bounding box."""
    left, top, right, bottom = mask.getbbox() or (0, 0, *mask.size)
    centre = (left + right) // 2
    box = ((left, top, centre, bottom), (centre, top, right, bottom))[side]
    half = Image.new("L", mask.size)
    half.paste(mask.crop(box), box[:2])
    return half


def resolutions(bench: Bench, repeats: int, journal: Journal) -> dict[str, dict[str, float]]:
    """Seconds of a row of each kind of pass, by the latent's side: the checkpoint's own, twice and four times that."""
    pipe, found = bench.pipe, {}
    for factor in (1, 2, 4):
        side = factor * pipe.latent_side
        passes = PassBench(pipe.backbone, side, factor * pipe.guidance_side)
        measure = partial(pass_seconds, passes, bench.clock)
        measure()  # the first round is slower
        found[str(side)] = medians([journal.once(f"latent {side}, {n}", measure) for n in range(repeats)])
    return found


def unstopped() -> dict[str, Passes]:
    """Rows of whole edits in which no update is left out or shared, as the papers count; 50 steps."""
    config = EditConfig.preset("exact")
    steps, guidance = config.steps, config.guided_steps * config.iterations
    learned, few = steps * config.null_text_iterations, config.guided_steps * 4
    # Inversion; then of each step of null-text inversion the conditional half, and what the step is taken with: the
    # released program passes both halves for it.
    inverted = 3 * steps
    direct = Passes(forward=3 * steps, source=config.source_steps, truncated=guidance, backward=guidance)
    return {
        "released, every update": Passes(
            forward=inverted + steps + guidance + 4 * steps,
            graded=learned + guidance,
            backward=guidance,
            embedding=learned,
        ),
        "exact, every update": replace(direct, forward=inverted + 2 * steps, graded=learned, embedding=learned),
        "direct, every update": direct,
        "direct, 4 updates a step": replace(direct, truncated=few, backward=few),
    }


def extrapolated(
    edits: Mapping[str, Passes], each: Mapping[str, float], seconds: Mapping[str, float] | None = None
) -> dict[str, dict[str, float]]:
    """FLOPs and seconds of whole edits with another UNet, from its FLOPs (``each``) and ``seconds`` per row, if these
    are known; text encoder and VAE left out. Names that begin with "released" form every map."""
    units = {"flops": each} | ({} if seconds is None else {"seconds": seconds})
    return {
        name: {unit: passes.total(row, formed=name.startswith(RELEASED)) for unit, row in units.items()}
        for name, passes in edits.items()
    }


def sd_passes(
    backbone: Backbone, edits: Mapping[str, Passes], device: str, repeats: int, journal: Journal
) -> dict[str, Any]:
    """Passes of a random UNet of Stable Diffusion 1.x size in fp32, and whole edits by so many of them."""
    clock = Clock(device)
    with torch.device("meta"):  # shapes without numbers count as well, at once
        shapes = UNet2DConditionModel(**SD_UNET).eval()
    each = journal.once("sd flops", lambda: pass_flops(PassBench(backbone.with_network(shapes), *SD_SIDES)))
    if not repeats:
        return {"flops": each, "edits": extrapolated({**edits, **unstopped()}, each)}
    unet = UNet2DConditionModel(**SD_UNET).eval().to(device)
    bench = PassBench(backbone.with_network(unet), *SD_SIDES)
    pass_seconds(bench, clock)  # the first round is slower
    seconds = medians([journal.once(f"sd seconds {n}", lambda: pass_seconds(bench, clock)) for n in range(repeats)])
    return {"flops": each, "seconds": seconds, "edits": extrapolated({**edits, **unstopped()}, each, seconds)}


def main() -> None:
    """Print the tables and, if asked, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edit", default="pillow", help="name of the demo edit")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=["float32", "bfloat16", "float16"],
        help="of balanced and fast; exact and the released schedule are float32",
    )
    parser.add_argument("--steps", type=int, help="steps of every edit (default: as the presets have them)")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, help="of the table, the first one is 1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--growth", action="store_true", help="also vary steps, updates, regions and resolution")
    parser.add_argument("--sd", action="store_true", help="also the passes of a random UNet of SD 1.x size")
    parser.add_argument("--sd-repeats", type=int, default=3, help="timed rounds of them; 0: FLOPs alone")
    parser.add_argument("--sd-edits", action="store_true", help="also whole edits of that size (for a GPU)")
    parser.add_argument("--resume", action="store_true", help="resume from the stored figures of an earlier run")
    parser.add_argument("--state", type=Path, default=Path(".cache/speed"), help="folder of the stored figures")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    console, clock, dtype = Console(width=150), Clock(asked.device), getattr(torch, asked.dtype)
    changes = {} if asked.steps is None else {"steps": asked.steps}

    def benches(load: Callable[[torch.dtype], MAGEditPipeline]) -> tuple[Bench, Bench]:
        """A bench in float32, which null-text inversion needs, and one in the requested number format."""
        pipe = load(torch.float32).to(asked.device)
        exact = Bench.of(pipe, demo_job(asked.edit, pipe.size), clock)
        if dtype is torch.float32:
            return exact, exact
        return exact, Bench.of(load(dtype).to(asked.device), exact.job, clock)

    exact, others = benches(lambda dtype: MAGEditPipeline.from_pretrained(checkpoint_path(), dtype=dtype))
    settings = [fingerprint(exact.pipe.backbone), asked.edit, asked.device, asked.dtype, asked.steps]
    name = sha256(json.dumps(settings).encode()).hexdigest()[:12]
    journal = Journal(asked.state / f"{name}.jsonl", resume=asked.resume)
    costs = compare(exact, others, asked.repeats, journal, rows=asked.rows, **changes)
    show(console, f"{asked.edit}, {asked.device}, {asked.dtype}, peak {exact.peak / 1e9:.0f} GFLOP/s", costs)
    figures: dict[str, Any] = {"passes": exact.each, "edits": {n: asdict(c) for n, c in costs.items()}}
    if asked.growth:
        for what, varied in growth(others, journal, **changes).items():
            show(console, f"growth with {what}", varied)
            figures[what] = {name: asdict(cost) for name, cost in varied.items()}
        figures["resolution"] = resolutions(others, asked.repeats, journal)
        show_passes(console, "seconds of a pass by the latent's side", figures["resolution"])
    if asked.sd:
        edits = {name: cost.passes for name, cost in costs.items()}
        figures["sd"] = sd_passes(exact.pipe.backbone, edits, asked.device, asked.sd_repeats, journal)
        if asked.sd_repeats:
            show_passes(console, "seconds of a pass of SD 1.x size", {"float32": figures["sd"]["seconds"]})
        show_extrapolated(console, "whole edits of SD 1.x size, from these", figures["sd"]["edits"], exact.peak)
    if asked.sd_edits:
        exact, others = benches(sd_pipeline)
        whole = compare(exact, others, asked.repeats, journal, rows=asked.rows, label="sd ", **changes)
        show(console, f"whole edits of SD 1.x size, random weights, {asked.device}, {asked.dtype}", whole)
        figures["sd edits"] = {name: asdict(cost) for name, cost in whole.items()}
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
