"""What the presets save against the released program's schedule, on one device in one run (`make bench-speed`).

Whole edits with the demo checkpoint; with `--sd` also the passes of a random UNet of Stable Diffusion 1.x size, times
the passes that the demo's edits took, and with `--sd-edits` whole edits with a random checkpoint of that size.

Seconds are the process's own on a CPU (one thread; what else runs there does not count) and wall time on a GPU. FLOPs
are the UNet's, counted by `torch.utils.flop_counter` once per kind of pass, times the rows that went through, without
injection: it needs less, no queries, keys and scores where a self attention is injected. The peak is that of the same
device's matrix product in the same number format. Peak memory is that of an edit of few steps: it does not depend on
them. Every figure is kept as soon as it is measured: `--resume` goes on after a kill.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import magedit.denoiser
from benchmarks.living import MIB, Living
from benchmarks.released import plain, released_edit, released_inversion
from benchmarks.sd import SD_UNET, sd_pipeline, weights
from magedit.attention import capturing, find_layers, guidance_layers
from magedit.config import EditConfig, PresetName, Region
from magedit.demo import checkpoint_path, demo_edit
from magedit.denoiser import Denoiser, frozen
from magedit.fingerprint import fingerprint
from magedit.meter import Meter
from magedit.pipeline import MAGEditPipeline
from magedit.schedule import Schedule
from magedit.truncated import attend_until

RELEASED = "released"
"""The row that all others are measured against."""

PEAK_SIDE = 2048
"""Side of the square matrices whose product gives the device's peak."""

SD_SIDES = (64, 16)
"""Sides of Stable Diffusion 1.x's latent and of the maps that guidance reads."""

SHORT: dict[str, Any] = {"steps": 2, "max_iterations": 2, "null_text_iterations": 2}
"""An edit that has every kind of pass, for its peak memory."""


@dataclass(frozen=True)
class Passes:
    """UNet rows of each kind: whole forward without (``forward``) and with gradients (``graded``); forward up to the
    last map that is injected (``source``) or that guidance reads (``truncated``, with gradients); backward from the
    maps to the latent, and from the noise to the unconditional embedding (``embedding``)."""

    forward: int = 0
    graded: int = 0
    source: int = 0
    truncated: int = 0
    backward: int = 0
    embedding: int = 0

    def total(self, each: Mapping[str, float], *, formed: bool = False) -> float:
        """The sum of what ``each`` kind costs a row; ``formed``: with every map formed, as released."""
        kind = "plain {}" if formed else "{}"
        return sum((rows * each[kind.format(name)] for name, rows in asdict(self).items() if rows), 0.0)


@dataclass(frozen=True)
class Cost:
    """One edit: seconds in all and of the editing stage, passes, FLOPs, peak memory in MiB, the device's FLOP/s."""

    seconds: float
    edit_seconds: float
    passes: Passes
    flops: float
    mebibytes: float
    peak: float


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


class Journal:
    """Figures as lines of JSON in one file; what is there already is not measured again."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines(keepends=True) if resume and path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]  # a kill may have cut the last one
        path.write_text("".join(whole))
        self._path = path
        self._known: dict[str, Any] = {each["what"]: each["figures"] for each in map(json.loads, whole)}

    def once(self, what: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The figures named ``what``: as they were kept, or measured now and kept."""
        if what not in self._known:
            self._known[what] = measure()
            with self._path.open("a") as file:
                file.write(json.dumps({"what": what, "figures": self._known[what]}) + "\n")
        figures: dict[str, Any] = self._known[what]
        return figures

    def cost(self, what: str, measure: Callable[[], Cost]) -> Cost:
        """`once` for a `Cost`."""
        figures = self.once(what, lambda: asdict(measure()))
        return Cost(**{**figures, "passes": Passes(**figures["passes"])})


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


def counted(run: Callable[[], Any]) -> tuple[float, Any]:
    """Floating-point operations of ``run``, and what it gives."""
    with FlopCounterMode(display=False, custom_mapping=_FUSED) as counter:
        result = run()
    return float(counter.get_total_flops()), result


def timed(clock: Clock, run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of ``run``, and what it gives."""
    start = clock()
    result = run()
    return clock() - start, result


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
    """One pass of every kind of one UNet, a row each."""

    def __init__(self, unet: UNet2DConditionModel, scheduler: Any, side: int, guidance_side: int) -> None:
        self.unet = unet
        self.denoiser = Denoiser(unet, Schedule.from_scheduler(scheduler, 50), Meter({}))
        layers = find_layers(unet, side)
        self.read = guidance_layers(layers, guidance_side)
        limit = EditConfig.self_replace_max_positions
        self.injected = [layer for layer in layers if layer.cross or layer.positions <= limit]
        shape = (1, unet.config.in_channels, side, side)
        self.latent = torch.randn(shape, device=unet.device)
        self.embedding = torch.randn(1, 77, unet.config.cross_attention_dim, device=unet.device)

    def measure(self, by: Callable[[Callable[[], Any]], tuple[float, Any]]) -> dict[str, float]:
        """What ``by`` (run -> figure and result) finds for each kind of `Passes`, and for those of the released
        schedule, whose names begin with "plain"."""
        found: dict[str, float] = {}

        def take(kind: str, run: Callable[[], Any]) -> Any:
            found[kind], result = by(run)
            return result

        with frozen(self.unet):
            take("forward", self._forward)
            take("source", self._source)
            take("backward", take("truncated", self._truncated).backward)
            take("embedding", take("graded", self._embedded).backward)
            with plain(self.unet):
                take("plain forward", self._forward)
                take("plain backward", take("plain graded", self._guided).backward)
                take("plain embedding", self._embedded().backward)
        return found

    def _forward(self) -> Tensor:
        with torch.no_grad():
            return self.denoiser.noise(self.latent, 501, self.embedding)

    def _source(self) -> None:
        with torch.no_grad(), capturing(self.unet, self.injected):
            self.denoiser.attend(self.latent, 501, self.embedding, self.injected[-1])

    def _truncated(self) -> Tensor:
        variable = self.latent.clone().requires_grad_(True)
        with torch.enable_grad(), capturing(self.unet, self.read) as maps:
            self.denoiser.attend(variable, 501, self.embedding, self.read[-1])
            return torch.stack([m.square().sum() for m in maps.values()]).sum()

    def _guided(self) -> Tensor:
        """The released program's pass of guidance: whole; the sum of its maps' squares."""
        variable = self.latent.clone().requires_grad_(True)
        with torch.enable_grad(), plain(self.unet) as maps:
            self.denoiser.noise(variable, 501, self.embedding)
            return torch.stack([maps.kept[layer.name].square().sum() for layer in self.read]).sum()

    def _embedded(self) -> Tensor:
        with torch.enable_grad():
            return self.denoiser.noise(self.latent, 501, self.embedding.clone().requires_grad_(True)).square().sum()


def pass_flops(bench: PassBench) -> dict[str, float]:
    """FLOPs of a row of each kind of pass."""
    return bench.measure(counted)


def pass_seconds(bench: PassBench, clock: Clock) -> dict[str, float]:
    """Seconds of a row of each kind of pass."""
    return bench.measure(lambda run: timed(clock, run))


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


@contextmanager
def counting(unet: UNet2DConditionModel) -> Iterator[Counter[str]]:
    """Rows of every forward pass that ``unet`` begins inside, by their kind in `Passes`."""
    rows: Counter[str] = Counter()

    def cut(module: UNet2DConditionModel, sample: Tensor, *rest: Any) -> None:
        # A pass that ends early is written out block by block: the UNet's own hooks do not see it.
        rows["truncated" if torch.is_grad_enabled() else "source"] += sample.shape[0]
        attend_until(module, sample, *rest)

    def whole(_: Any, args: tuple[Any, ...]) -> None:
        rows["graded" if torch.is_grad_enabled() else "forward"] += args[0].shape[0]

    hook = unet.register_forward_pre_hook(whole)
    try:
        with mock.patch.object(magedit.denoiser, "attend_until", cut):
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


@dataclass(frozen=True)
class Bench:
    """Edits of one job with one checkpoint on one device, priced with ``each`` row's FLOPs and the device's peak."""

    pipe: MAGEditPipeline
    job: Job
    clock: Clock
    each: Mapping[str, float]
    peak: float

    @classmethod
    def of(cls, pipe: MAGEditPipeline, job: Job, clock: Clock) -> Bench:
        """With what has to be measured before."""
        each = pass_flops(PassBench(pipe.unet, pipe.scheduler, pipe.latent_side, pipe.guidance_side))
        return cls(pipe, job, clock, each, matmul_peak(clock, str(pipe.device), pipe.dtype))

    def preset(self, config: EditConfig) -> Cost:
        """One edit with this program."""
        job = self.job
        with counting(self.pipe.unet) as rows:
            start = self.clock()
            inversion = self.pipe.invert(job.image, job.masks, job.source, config=config)
            middle = self.clock()
            # Of an inversion's passes only those that learn an embedding have gradients.
            embedding = rows["graded"]
            measures = self.pipe(
                *(job.image, job.masks, job.source, job.target, job.regions, config),
                inversion=inversion,
                output_type="latent",
            ).measures
            end = self.clock()
        passes = Passes(**rows, backward=measures.unet_backward, embedding=embedding)
        memory = self._mebibytes(lambda: self._whole(replace(config, **SHORT)))
        return Cost(end - start, end - middle, passes, passes.total(self.each), memory, self.peak)

    def released(self, config: EditConfig) -> Cost:
        """One edit by the released program's schedule."""
        inverting, editing = Meter({}), Meter({})
        with counting(self.pipe.unet) as rows:
            start = self.clock()
            inversion = self._released_inversion(config, inverting)
            middle = self.clock()
            self._released_edit(config, inversion, editing)
            end = self.clock()
        passes = Passes(**rows, backward=editing.backward, embedding=inverting.backward)
        short = replace(config, **SHORT)
        memory = self._mebibytes(
            lambda: self._released_edit(short, self._released_inversion(short, Meter({})), Meter({}))
        )
        return Cost(end - start, end - middle, passes, passes.total(self.each, formed=True), memory, self.peak)

    def _whole(self, config: EditConfig) -> None:
        job = self.job
        self.pipe(job.image, job.masks, job.source, job.target, job.regions, config, output_type="latent")

    def _released_inversion(self, config: EditConfig, meter: Meter) -> Any:
        job = self.job
        return released_inversion(self.pipe, job.image, job.masks[0], job.source, config, meter)

    def _released_edit(self, config: EditConfig, inversion: Any, meter: Meter) -> None:
        released_edit(self.pipe, self.job.masks, self.job.target, self.job.regions, config, inversion, meter)

    def _mebibytes(self, run: Callable[[], object]) -> float:
        """Peak memory of ``run``, weights included: what CUDA's allocator gave out, or `Living` on a CPU."""
        if self.clock.cuda:
            torch.cuda.reset_peak_memory_stats()
            run()
            return float(torch.cuda.max_memory_allocated()) / MIB
        with Living(tensor for part in weights(self.pipe).values() for tensor in part) as living:
            run()
        return float(living.peak) / MIB


def median(costs: list[Cost]) -> Cost:
    """Medians of repeated runs; all else of the first."""
    return replace(
        costs[0],
        seconds=statistics.median(cost.seconds for cost in costs),
        edit_seconds=statistics.median(cost.edit_seconds for cost in costs),
    )


def compare(
    exact: Bench, others: Bench, repeats: int, journal: Journal, *, label: str = "", **changes: Any
) -> dict[str, Cost]:
    """The released schedule and the presets, in turns; the first and `exact` by ``exact``, the rest by ``others``.

    ``changes`` are parameters of all of them.
    """
    runs: dict[str, list[Cost]] = {}
    for n in range(repeats):
        for name in (RELEASED, *get_args(PresetName)):
            config = EditConfig.preset("exact" if name == RELEASED else name, **changes)
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
        passes = PassBench(pipe.unet, pipe.scheduler, side, factor * pipe.guidance_side)
        measure = partial(pass_seconds, passes, bench.clock)
        measure()  # the first round is slower
        found[str(side)] = medians([journal.once(f"latent {side}, {n}", measure) for n in range(repeats)])
    return found


def unstopped() -> dict[str, Passes]:
    """Rows of whole edits in which no update is left out or shared, as the papers count; 50 steps."""
    config = EditConfig.preset("exact")
    steps, guidance = config.steps, config.guided_steps * config.iterations
    learned, few = steps * config.null_text_iterations, config.guided_steps * 4
    # Inversion; then of each step of null-text inversion the conditional half, and what the step is taken with.
    inverted = 3 * steps
    direct = Passes(forward=3 * steps, source=config.source_steps, truncated=guidance, backward=guidance)
    return {
        "released, every update": Passes(
            forward=inverted + guidance + 4 * steps, graded=learned + guidance, backward=guidance, embedding=learned
        ),
        "exact, every update": replace(direct, forward=inverted + 2 * steps, graded=learned, embedding=learned),
        "direct, every update": direct,
        "direct, 4 updates a step": replace(direct, truncated=few, backward=few),
    }


def show(console: Console, title: str, costs: Mapping[str, Cost]) -> None:
    """Print a table; ratios are against its first row."""
    first = next(iter(costs.values()))
    columns = ("s", "x", "edit s", "x", "forward", "truncated", "backward", "GFLOP", "x", "GFLOP/s", "of peak", "MiB")
    table = Table("", *columns, title=title)
    for name, c in costs.items():
        p, pace = c.passes, c.flops / c.seconds
        table.add_row(
            name,
            *(f"{c.seconds:.1f}", f"{first.seconds / c.seconds:.2f}"),
            *(f"{c.edit_seconds:.1f}", f"{first.edit_seconds / c.edit_seconds:.2f}"),
            *(str(p.forward + p.graded), str(p.source + p.truncated), str(p.backward + p.embedding)),
            *(f"{c.flops / 1e9:.0f}", f"{first.flops / c.flops:.2f}"),
            *(f"{pace / 1e9:.0f}", f"{pace / c.peak:.0%}", f"{c.mebibytes:.0f}"),
        )
    console.print(table)


def show_passes(console: Console, title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print seconds per kind of pass; ratios are against the first row."""
    first = next(iter(rows.values()))
    table = Table("", *first, title=title)
    for name, seconds in rows.items():
        table.add_row(name, *(f"{each:.3f} ({each / first[kind]:.1f})" for kind, each in seconds.items()))
    console.print(table)


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


def show_extrapolated(console: Console, title: str, rows: Mapping[str, Mapping[str, float]], peak: float) -> None:
    """Print `extrapolated`; ratios are against the released schedule's row of the same kind."""
    table = Table("", "PFLOP", "x", "s", "x", "of peak", title=title)
    for name, row in rows.items():
        _, _, rest = name.partition(", ")
        first = rows[f"{RELEASED}, every update" if rest else RELEASED]
        cells = [f"{row['flops'] / 1e15:.3f}", f"{first['flops'] / row['flops']:.2f}"]
        if "seconds" in row:
            cells += [f"{row['seconds']:.0f}", f"{first['seconds'] / row['seconds']:.2f}"]
            cells.append(f"{row['flops'] / row['seconds'] / peak:.0%}")
        table.add_row(name, *cells)
    console.print(table)


def sd_passes(
    scheduler: Any, edits: Mapping[str, Passes], device: str, repeats: int, journal: Journal
) -> dict[str, Any]:
    """Passes of a random UNet of Stable Diffusion 1.x size in fp32, and whole edits by so many of them."""
    clock = Clock(device)
    with torch.device("meta"):  # shapes without numbers count as well, at once
        shapes = UNet2DConditionModel(**SD_UNET).eval()
    each = journal.once("sd flops", lambda: pass_flops(PassBench(shapes, scheduler, *SD_SIDES)))
    if not repeats:
        return {"flops": each, "edits": extrapolated({**edits, **unstopped()}, each)}
    bench = PassBench(UNet2DConditionModel(**SD_UNET).eval().to(device), scheduler, *SD_SIDES)
    pass_seconds(bench, clock)  # the first round is slower
    seconds = medians([journal.once(f"sd seconds {n}", lambda: pass_seconds(bench, clock)) for n in range(repeats)])
    return {"flops": each, "seconds": seconds, "edits": extrapolated({**edits, **unstopped()}, each, seconds)}


def main() -> None:
    """Print the tables and, if asked, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edit", default="pillow", help="which of the demo's edits")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=["float32", "bfloat16", "float16"],
        help="of balanced and fast; exact and the released schedule are float32",
    )
    parser.add_argument("--steps", type=int, help="steps of every edit (default: as the presets have them)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--growth", action="store_true", help="also vary steps, updates, regions and resolution")
    parser.add_argument("--sd", action="store_true", help="also the passes of a random UNet of SD 1.x size")
    parser.add_argument("--sd-repeats", type=int, default=3, help="timed rounds of them; 0: FLOPs alone")
    parser.add_argument("--sd-edits", action="store_true", help="also whole edits of that size (for a GPU)")
    parser.add_argument("--resume", action="store_true", help="go on with the figures that an ended run has kept")
    parser.add_argument("--state", type=Path, default=Path(".cache/speed"), help="folder of the kept figures")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    console, clock, dtype = Console(width=150), Clock(asked.device), getattr(torch, asked.dtype)
    changes = {} if asked.steps is None else {"steps": asked.steps}

    def benches(load: Callable[[torch.dtype], MAGEditPipeline]) -> tuple[Bench, Bench]:
        """For what is float32 whatever was asked, and for the rest."""
        pipe = load(torch.float32).to(asked.device)
        exact = Bench.of(pipe, demo_job(asked.edit, pipe.size), clock)
        if dtype is torch.float32:
            return exact, exact
        return exact, Bench.of(load(dtype).to(asked.device), exact.job, clock)

    exact, others = benches(lambda dtype: MAGEditPipeline.from_pretrained(checkpoint_path(), dtype=dtype))
    settings = [fingerprint(exact.pipe), asked.edit, asked.device, asked.dtype, asked.steps]
    name = sha256(json.dumps(settings).encode()).hexdigest()[:12]
    journal = Journal(asked.state / f"{name}.jsonl", resume=asked.resume)
    costs = compare(exact, others, asked.repeats, journal, **changes)
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
        figures["sd"] = sd_passes(exact.pipe.scheduler, edits, asked.device, asked.sd_repeats, journal)
        if asked.sd_repeats:
            show_passes(console, "seconds of a pass of SD 1.x size", {"float32": figures["sd"]["seconds"]})
        show_extrapolated(console, "whole edits of SD 1.x size, from these", figures["sd"]["edits"], exact.peak)
    if asked.sd_edits:
        exact, others = benches(sd_pipeline)
        whole = compare(exact, others, asked.repeats, journal, label="sd ", **changes)
        show(console, f"whole edits of SD 1.x size, random weights, {asked.device}, {asked.dtype}", whole)
        figures["sd edits"] = {name: asdict(cost) for name, cost in whole.items()}
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
