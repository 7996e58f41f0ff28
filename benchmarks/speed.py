"""What the presets save against the released program's schedule, on one device in one run (`make bench-speed`).

Two models: the demo checkpoint, whole edits; and a random UNet of Stable Diffusion 1.x size, whose passes are timed one
by one on a CPU and multiplied by the passes that the demo's edits took (`--sd`).

Seconds are the process's own on a CPU (one thread; what else runs there does not count) and wall time on a GPU.
FLOPs are counted by `torch.utils.flop_counter`, once per kind of pass and without injection, times the rows that went
through; the peak is that of the same device's matrix product in the same number format and threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.released import plain, released_edit, released_inversion
from magedit.attention import capturing, find_layers, guidance_layers
from magedit.config import EditConfig, PresetName, Region
from magedit.demo import checkpoint_path, demo_edit
from magedit.denoiser import Denoiser, frozen
from magedit.meter import Meter
from magedit.pipeline import MAGEditPipeline
from magedit.schedule import Schedule

SD_UNET: dict[str, Any] = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
"""What Stable Diffusion 1.x's UNet sets; the rest are diffusers' defaults."""

PEAK_SIDE = 2048
"""Side of the square matrices whose product gives the device's peak."""


@dataclass(frozen=True)
class Passes:
    """UNet rows of each kind: whole forward, forward up to the last map, backward from the maps to the latent, and
    from the noise to the unconditional embedding."""

    forward: int
    truncated: int
    backward: int
    embedding: int


@dataclass(frozen=True)
class Cost:
    """One edit: seconds in all and of the editing stage, passes, FLOPs, peak memory in MiB."""

    seconds: float
    edit_seconds: float
    passes: Passes
    flops: float
    mebibytes: float


class Clock:
    """Seconds on one device."""

    def __init__(self, device: str) -> None:
        self.cuda = device.startswith("cuda")

    def __call__(self) -> float:
        """Process time on a CPU, wall time on a GPU once it is idle."""
        if self.cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def reset_peak(self) -> None:
        """Start a new measurement of peak memory."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> float:
        """Peak memory since then, MiB: the device's allocated, or the process's resident (VmHWM of proc(5))."""
        if self.cuda:
            return torch.cuda.max_memory_allocated() / 2**20
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 2**10


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    batch, heads, rows, width = query
    return int(2 * batch * heads * rows * key[2] * (width + value[3]))


def _attention_backward_flops(_: Any, query: Any, key: Any, value: Any, *__: Any, **___: Any) -> int:
    # Scores again, then two products for each of the two of the forward pass.
    batch, heads, rows, width = query
    return int(2 * batch * heads * rows * key[2] * (3 * width + 2 * value[3]))


# What a CPU runs for fused attention, which the counter does not know.
_FUSED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
}


def flops(run: Callable[[], object]) -> float:
    """Floating-point operations of ``run``."""
    with FlopCounterMode(display=False, custom_mapping=_FUSED) as counter:
        run()
    return float(counter.get_total_flops())


def matmul_peak(clock: Clock, device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product, best of 5."""
    a, b = (torch.randn(PEAK_SIDE, PEAK_SIDE, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(5):
        start = clock()
        a @ b
        times.append(clock() - start)
    return 2 * PEAK_SIDE**3 / min(times)


class PassBench:
    """The kinds of pass of one UNet, as functions without arguments."""

    def __init__(self, unet: UNet2DConditionModel, scheduler: Any, side: int, guidance_side: int) -> None:
        self.unet = unet
        self.denoiser = Denoiser(unet, Schedule.from_scheduler(scheduler, 50), Meter({}))
        self.read = guidance_layers(find_layers(unet, side), guidance_side)
        shape = (1, unet.config.in_channels, side, side)
        self.latent = torch.randn(shape, device=unet.device)
        self.embedding = torch.randn(1, 77, unet.config.cross_attention_dim, device=unet.device)

    def forward(self) -> Tensor:
        """Whole, without gradients."""
        with torch.no_grad():
            return self.denoiser.noise(self.latent, 501, self.embedding)

    def truncated(self) -> tuple[Tensor, Tensor]:
        """Up to the last map, with gradients: the latent and the sum of the maps' squares."""
        variable = self.latent.clone().requires_grad_(True)
        with torch.enable_grad(), capturing(self.unet, self.read) as maps:
            self.denoiser.attend(variable, 501, self.embedding, self.read[-1])
            return variable, torch.stack([m.square().sum() for m in maps.values()]).sum()

    def guided_whole(self) -> Tensor:
        """The whole pass with gradients: the sum of its maps' squares."""
        variable = self.latent.clone().requires_grad_(True)
        with torch.enable_grad(), plain(self.unet) as maps:
            self.denoiser.noise(variable, 501, self.embedding)
            return torch.stack([maps.kept[layer.name].square().sum() for layer in self.read]).sum()

    def embedded(self) -> Tensor:
        """The whole pass with gradients to the embedding."""
        with torch.enable_grad():
            return self.denoiser.noise(self.latent, 501, self.embedding.clone().requires_grad_(True)).square().sum()


def pass_flops(bench: PassBench) -> dict[str, float]:
    """FLOPs of each kind of `Passes`, per row."""
    with frozen(bench.unet):
        loss = bench.truncated()[1]
        through = bench.embedded()
        return {
            "forward": flops(bench.forward),
            "truncated": flops(bench.truncated),
            "backward": flops(loss.backward),
            "embedding": flops(through.backward),
        }


def pass_seconds(bench: PassBench, clock: Clock, repeats: int) -> dict[str, float]:
    """Median seconds of each kind of pass: the program's, and the released schedule's with every map formed."""

    def timed(run: Callable[[], Any]) -> tuple[float, Any]:
        start = clock()
        result = run()
        return clock() - start, result

    rows: dict[str, list[float]] = {}
    with frozen(bench.unet):
        for _ in range(repeats):
            rows.setdefault("forward", []).append(timed(bench.forward)[0])
            seconds, (_, loss) = timed(bench.truncated)
            rows.setdefault("truncated", []).append(seconds)
            rows.setdefault("backward", []).append(timed(loss.backward)[0])
            with plain(bench.unet):
                rows.setdefault("plain forward", []).append(timed(bench.forward)[0])
            seconds, loss = timed(bench.guided_whole)
            rows.setdefault("plain guided forward", []).append(seconds)
            rows.setdefault("plain backward", []).append(timed(loss.backward)[0])
    return {kind: statistics.median(each) for kind, each in rows.items()}


@contextmanager
def counting_rows(unet: UNet2DConditionModel) -> Iterator[list[int]]:
    """Rows of every pass that ``unet`` begins inside."""
    rows: list[int] = []
    hook = unet.register_forward_pre_hook(lambda _, args: rows.append(args[0].shape[0]))
    try:
        yield rows
    finally:
        hook.remove()


@dataclass(frozen=True)
class Job:
    """A demo edit at the pipeline's size."""

    image: Image.Image
    masks: tuple[Image.Image, ...]
    source: str
    target: str
    regions: tuple[Region, ...]


def demo_job(name: str, size: int) -> Job:
    """The demo edit ``name``."""
    edit = demo_edit(name)
    return Job(
        edit.image(size), (edit.mask(size),), edit.source_prompt, edit.target_prompt, (Region(words=edit.words),)
    )


def run_preset(
    pipe: MAGEditPipeline, job: Job, config: EditConfig, clock: Clock, per_pass: Mapping[str, float]
) -> Cost:
    """One edit with this program."""
    clock.reset_peak()
    with counting_rows(pipe.unet) as rows:
        start = clock()
        inversion = pipe.invert(job.image, job.masks, job.source, config=config)
        middle = clock()
        before = len(rows)
        measures = pipe(
            job.image, job.masks, job.source, job.target, job.regions, config, inversion=inversion, output_type="latent"
        ).measures
        end = clock()
    truncated = measures.unet_truncated_forward
    embedding = max(0, before - 3 * config.steps) if config.inversion == "null-text" else 0
    passes = Passes(sum(rows) - truncated, truncated, measures.unet_backward, embedding)
    return _cost(end - start, end - middle, passes, per_pass, clock)


def run_released(
    pipe: MAGEditPipeline, job: Job, config: EditConfig, clock: Clock, per_pass: Mapping[str, float]
) -> Cost:
    """One edit by the released program's schedule."""
    clock.reset_peak()
    inverting, editing = Meter({}), Meter({})
    with counting_rows(pipe.unet) as rows:
        start = clock()
        inversion = released_inversion(pipe, job.image, job.masks[0], job.source, config, inverting)
        middle = clock()
        released_edit(pipe, job.masks, job.target, job.regions, config, inversion, editing)
        end = clock()
    passes = Passes(sum(rows), 0, editing.backward, inverting.backward)
    return _cost(end - start, end - middle, passes, per_pass, clock)


def _cost(seconds: float, edit: float, passes: Passes, per_pass: Mapping[str, float], clock: Clock) -> Cost:
    total = sum(rows * per_pass[kind] for kind, rows in asdict(passes).items())
    return Cost(seconds, edit, passes, total, clock.peak())


def median(costs: list[Cost]) -> Cost:
    """Medians of repeated runs; passes of the first."""
    return Cost(
        statistics.median(cost.seconds for cost in costs),
        statistics.median(cost.edit_seconds for cost in costs),
        costs[0].passes,
        costs[0].flops,
        max(cost.mebibytes for cost in costs),
    )


def growth(pipe: MAGEditPipeline, job: Job, clock: Clock, per_pass: Mapping[str, float]) -> dict[str, dict[str, Cost]]:
    """How an edit's cost grows with steps, updates and regions, one thing at a time from 10 steps of `balanced`."""
    base = replace(EditConfig(), steps=10)
    halves = tuple(_half(job.masks[0], side) for side in (0, 1))
    two = replace(job, masks=halves, regions=job.regions * 2)
    return {
        "steps": {str(n): run_preset(pipe, job, replace(base, steps=n), clock, per_pass) for n in (10, 20, 40)},
        "updates": {
            f"{n}, one gradient each": run_preset(
                pipe, job, replace(base, max_iterations=n, gradient_tolerance=0.0), clock, per_pass
            )
            for n in (5, 10, 20)
        }
        | {str(n): run_preset(pipe, job, replace(base, max_iterations=n), clock, per_pass) for n in (5, 10, 20)},
        "regions": {str(len(each.masks)): run_preset(pipe, each, base, clock, per_pass) for each in (job, two)},
    }


def _half(mask: Image.Image, side: int) -> Image.Image:
    """The left or right half of a mask's bounding box."""
    left, top, right, bottom = mask.getbbox() or (0, 0, *mask.size)
    centre = (left + right) // 2
    box = ((left, top, centre, bottom), (centre, top, right, bottom))[side]
    half = Image.new("L", mask.size)
    half.paste(mask.crop(box), box[:2])
    return half


def extrapolated(costs: Mapping[str, Cost], seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds of the whole edits ``costs`` on another UNet, from its ``seconds`` per pass; text and VAE left out.

    A backward pass to the embedding is taken to cost what one to the latent costs.
    """
    result = {}
    for name, cost in costs.items():
        p, kind = cost.passes, "plain " if name == "released" else ""
        result[name] = (
            p.forward * seconds[f"{kind}forward"]
            + p.truncated * seconds["truncated"]
            + (p.backward + p.embedding) * seconds[f"{kind}backward"]
        )
    return result


def show(console: Console, title: str, costs: Mapping[str, Cost], peak: float) -> None:
    """Print a table; ratios are against its first row."""
    first = next(iter(costs.values()))
    columns = ("s", "x", "edit s", "x", "forward", "truncated", "backward", "GFLOP", "GFLOP/s", "of peak", "MiB")
    table = Table("", *columns, title=title)
    for name, c in costs.items():
        p, pace = c.passes, c.flops / c.seconds
        table.add_row(
            name,
            *(f"{c.seconds:.1f}", f"{first.seconds / c.seconds:.1f}"),
            *(f"{c.edit_seconds:.1f}", f"{first.edit_seconds / c.edit_seconds:.1f}"),
            *(str(p.forward), str(p.truncated), str(p.backward + p.embedding)),
            *(f"{c.flops / 1e9:.0f}", f"{pace / 1e9:.0f}", f"{pace / peak:.0%}", f"{c.mebibytes:.0f}"),
        )
    console.print(table)


def main() -> None:
    """Print the tables and, if asked, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edit", default="pillow", help="which of the demo's edits")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--growth", action="store_true", help="also vary steps, updates, regions and resolution")
    parser.add_argument("--sd", action="store_true", help="also time the passes of a random UNet of SD 1.x size")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    console, clock = Console(width=150), Clock(asked.device)
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(checkpoint_path()).to(asked.device)
    job = demo_job(asked.edit, pipe.size)
    peak = matmul_peak(clock, asked.device, torch.float32)
    per_pass = pass_flops(PassBench(pipe.unet, pipe.scheduler, pipe.latent_side, pipe.guidance_side))
    runs: dict[str, list[Cost]] = {}
    for _ in range(asked.repeats):
        for name in get_args(PresetName):
            runs.setdefault(name, []).append(run_preset(pipe, job, EditConfig.preset(name), clock, per_pass))
        runs.setdefault("released", []).append(run_released(pipe, job, EditConfig.preset("exact"), clock, per_pass))
    costs = {name: median(runs[name]) for name in ("released", *get_args(PresetName))}
    show(console, f"{asked.edit}, {asked.device}, peak {peak / 1e9:.0f} GFLOP/s", costs, peak)
    figures: dict[str, Any] = {"peak": peak, "pass flops": per_pass, "edits": {n: asdict(c) for n, c in costs.items()}}
    if asked.growth:
        for what, varied in growth(pipe, job, clock, per_pass).items():
            show(console, f"growth with {what}", varied, peak)
            figures[what] = {name: asdict(cost) for name, cost in varied.items()}
        for side in (1, 2, 4):
            bench = PassBench(pipe.unet, pipe.scheduler, side * pipe.latent_side, side * pipe.guidance_side)
            figures[f"passes at latent {side * pipe.latent_side}"] = pass_seconds(bench, clock, 3)
    if asked.sd:
        unet = UNet2DConditionModel(**SD_UNET).eval().to(asked.device)
        bench = PassBench(unet, pipe.scheduler, 64, 16)
        clock.reset_peak()
        seconds = pass_seconds(bench, clock, 1)
        whole = extrapolated(costs, seconds)
        figures["sd"] = {"passes": seconds, "extrapolated": whole, "peak MiB": clock.peak()}
        figures["sd"]["flops"] = pass_flops(bench)
    console.print_json(json.dumps({name: each for name, each in figures.items() if name != "edits"}))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
