"""Cost of a whole edit by preset and by the released program's schedule, with a resumable journal."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.memory.tensors import MIB, Living
from benchmarks.speed.counters import Clock, matmul_peak
from benchmarks.speed.passes import PassBench, Passes, counting, pass_flops
from benchmarks.speed.released import released_edit, released_inversion
from benchmarks.speed.sd import weights
from magedit.config import EditConfig, Region
from magedit.demo import demo_edit
from magedit.measures.meter import Meter
from magedit.pipelines.mag_edit import MAGEditPipeline

SHORT: dict[str, Any] = {"steps": 2, "max_iterations": 2, "null_text_iterations": 2}
"""An edit that has every kind of pass, for its peak memory."""


@dataclass(frozen=True)
class Cost:
    """One edit: seconds in all and of the editing stage, passes, FLOPs, peak memory in MiB, the device's FLOP/s."""

    seconds: float
    edit_seconds: float
    passes: Passes
    flops: float
    mebibytes: float
    peak: float


class Journal:
    """Figures as lines of JSON in one file; a figure already in it is not measured again."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines(keepends=True) if resume and path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]  # a kill may have cut the last one
        path.write_text("".join(whole))
        self._path = path
        self._known: dict[str, Any] = {each["what"]: each["figures"] for each in map(json.loads, whole)}

    def once(self, what: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The figures named ``what``: from the journal, or measured and stored now."""
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
        """Create a bench, measuring its prerequisites."""
        each = pass_flops(PassBench(pipe.backbone, pipe.latent_side, pipe.guidance_side))
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

    def run_released(self, config: EditConfig) -> tuple[float, float, Passes]:
        """One edit by the released program's schedule: its seconds, those of the editing stage, its passes."""
        inverting, editing = Meter({}), Meter({})
        with counting(self.pipe.unet) as rows:
            start = self.clock()
            inversion = self._released_inversion(config, inverting)
            middle = self.clock()
            self._released_edit(config, inversion, editing)
            end = self.clock()
        return end - start, end - middle, Passes(**rows, backward=editing.backward, embedding=inverting.backward)

    def released(self, config: EditConfig) -> Cost:
        """The cost of `run_released`."""
        seconds, edit_seconds, passes = self.run_released(config)
        short = replace(config, **SHORT)
        memory = self._mebibytes(
            lambda: self._released_edit(short, self._released_inversion(short, Meter({})), Meter({}))
        )
        return Cost(seconds, edit_seconds, passes, passes.total(self.each, formed=True), memory, self.peak)

    def _whole(self, config: EditConfig) -> None:
        job = self.job
        self.pipe(job.image, job.masks, job.source, job.target, job.regions, config, output_type="latent")

    def _released_inversion(self, config: EditConfig, meter: Meter) -> Any:
        job = self.job
        return released_inversion(self.pipe, job.image, job.masks[0], job.source, config, meter)

    def _released_edit(self, config: EditConfig, inversion: Any, meter: Meter) -> None:
        job = self.job
        released_edit(self.pipe, job.image, job.masks, job.target, job.regions, config, inversion, meter)

    def _mebibytes(self, run: Callable[[], object]) -> float:
        """Peak memory of ``run``, including weights: from CUDA's allocator, or `Living` on a CPU."""
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
