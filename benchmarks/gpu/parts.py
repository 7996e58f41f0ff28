"""The parts of the GPU benchmark, which `benchmarks.gpu.run` calls.

Models have Stable Diffusion's sizes and random weights, in bfloat16 except where a row is defined in float32; with
`--quick` they are tiny. Each figure is written as soon as it is measured.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import torch
from PIL import Image

from benchmarks.speed.batching import in_turn, passes
from benchmarks.speed.compiling import COMPILED, compiled
from benchmarks.speed.costs import Bench, Journal, demo_job
from benchmarks.speed.counters import Clock
from benchmarks.speed.sd import sd_pipeline, sdxl_pipeline
from benchmarks.speed.tables import RELEASED
from magedit.backbones.base import frozen
from magedit.config import EditConfig, PresetName
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.conftest import CHECKPOINT

TOGETHER = (1, 2, 4, 8)
"""Results of one edit in one batch."""
DTYPE = torch.bfloat16


@dataclass(frozen=True)
class Here:
    """Device and output of a part."""

    device: str
    quick: bool
    journal: Journal

    @cached_property
    def clock(self) -> Clock:
        """Seconds on the device."""
        return Clock(self.device)

    @property
    def few(self) -> dict[str, Any]:
        """Parameters of a short edit for dry runs."""
        return {"steps": 2, "max_iterations": 2, "null_text_iterations": 2} if self.quick else {}

    @property
    def rounds(self) -> int:
        """Number of timed repetitions of a pass."""
        return 2 if self.quick else 8

    def sd(self, dtype: torch.dtype = DTYPE) -> MAGEditPipeline:
        """A checkpoint of Stable Diffusion 1.x size."""
        return self._tiny(dtype) if self.quick else sd_pipeline(dtype, self.device).to(self.device)

    def sdxl(self) -> MAGEditPipeline:
        """A checkpoint of Stable Diffusion XL size."""
        if not self.quick:
            return sdxl_pipeline(DTYPE, self.device).to(self.device)
        from tests.magedit.backbones.sdxl.tiny import sdxl_checkpoint

        with tempfile.TemporaryDirectory(prefix="magedit-") as folder:
            return MAGEditPipeline.from_pretrained(sdxl_checkpoint(Path(folder)), dtype=DTYPE).to(self.device)

    def _tiny(self, dtype: torch.dtype) -> MAGEditPipeline:
        return MAGEditPipeline.from_pretrained(CHECKPOINT, dtype=dtype).to(self.device)

    def note(self, what: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measure and store a figure; a failure is stored as an error without stopping the others."""

        def safely() -> dict[str, Any]:
            try:
                return measure()
            except Exception as error:
                return {"error": f"{type(error).__name__}: {error}"[:500]}
            finally:
                self.free()

        self.journal.once(what, safely)

    def free(self) -> None:
        """Free unreferenced memory."""
        gc.collect()
        if self.clock.cuda:
            torch.cuda.empty_cache()

    def edit(self, pipe: MAGEditPipeline, config: EditConfig) -> dict[str, Any]:
        """Seconds of a whole edit after a short warm-up edit, its passes, and its peak memory on CUDA."""
        job = demo_job("pillow", pipe.size)
        given = (job.image, job.masks, job.source, job.target, job.regions)
        pipe(*given, replace(config, steps=2, max_iterations=1, null_text_iterations=1))
        if self.clock.cuda:
            torch.cuda.reset_peak_memory_stats()
        start = self.clock()
        measures = pipe(*given, config).measures
        seconds = self.clock() - start
        found: dict[str, Any] = {"seconds": round(seconds, 4), "stages": measures.stage_seconds}
        found["passes"] = [measures.unet_forward, measures.unet_truncated_forward, measures.unet_backward]
        if self.clock.cuda:
            found["peak_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        return found


def device(here: Here) -> None:
    """Description of the machine."""

    def told() -> dict[str, Any]:
        found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda}
        if here.clock.cuda:
            properties = torch.cuda.get_device_properties(here.device)
            found |= {"name": properties.name, "memory_mib": properties.total_memory // 2**20}
            found |= {"capability": list(torch.cuda.get_device_capability(here.device))}
        return found

    here.note("machine", told)


def edits(here: Here) -> None:
    """The presets and the released program's schedule, the fast ones first; `exact` and the released are float32."""
    names: list[PresetName] = sorted(get_args(PresetName), key=lambda name: EditConfig.preset(name).steps)
    quick_ones = [name for name in names if name != "exact"]
    pipe = here.sd()
    for name in quick_ones:
        config = EditConfig.preset(name, **here.few).closed()
        here.note(name, partial(here.edit, pipe, config))
    del pipe
    here.free()
    exact = here.sd(torch.float32)
    config = EditConfig.preset("exact", **here.few).closed()
    bench = Bench(exact, demo_job("pillow", exact.size), here.clock, {}, 0.0)

    def released() -> dict[str, Any]:
        seconds, edit_seconds, rows = bench.run_released(config)
        return {"seconds": round(seconds, 4), "edit_seconds": round(edit_seconds, 4), "passes": asdict(rows)}

    here.note(RELEASED, released)  # every ratio needs it, so it comes before `exact`
    here.note("exact", partial(here.edit, exact, config))


def vectors(here: Here) -> None:
    """The authors' recorded vectors, in float32 without TF32: largest relative error of each kind in a free run."""
    import pytest
    from safetensors.torch import load_file

    from tests.magedit.conftest import VECTORS, relative
    from tests.magedit.pipelines import test_vectors as recorded

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    pipe = here._tiny(torch.float32)
    cases = json.loads((VECTORS / "cases.json").read_text())

    def compare(name: str) -> dict[str, Any]:
        there = {key: each.to(here.device) for key, each in load_file(VECTORS / f"{name}.safetensors").items()}
        with pytest.MonkeyPatch.context() as patch:
            run = recorded.free_run(pipe, patch, name, cases[name], vectors=there)
        losses, wanted = recorded.losses_of(run)
        return {
            "VAE latent": relative(recorded.vae_latent(run, pipe), there["vae_latent"]),
            "inversion, 50 steps": relative(run.inverted.latents[0], there["inverted"]),
            "losses": float(((losses - wanted).abs() / wanted).max()),
            **{
                f"edit latent after step {step}": relative(
                    run.after[step][0], recorded.recorded(run, "latents_after_step", step)[1]
                )
                for step in (0, 12, 34)
            },
        }

    for name in recorded.CASES[:1] if here.quick else recorded.CASES:
        here.note(name, partial(compare, name))


def service(here: Here) -> None:
    """One edit of the demo over HTTP, through front end, Redis and a worker on the device."""
    from cli.processes.stack import Stack
    from jobs.settings import Settings
    from magedit.client import Client
    from magedit.demo import demo_edit

    def measured() -> dict[str, Any]:
        edit = demo_edit()
        with tempfile.TemporaryDirectory(prefix="magedit-") as folder:
            settings = Settings(state_dir=Path(folder), api_port=0, device=here.device)
            start = time.perf_counter()
            with Stack(settings, workers=1, embedded=True) as stack, Client(stack.url) as client:
                stack.wait_ready()
                found: dict[str, Any] = {"ready_s": round(time.perf_counter() - start, 2), "edits": []}
                for _ in range(2):
                    start = time.perf_counter()
                    asked = client.submit(
                        _png(edit.image()),
                        [_png(edit.mask())],
                        source_prompt=edit.source_prompt,
                        target_prompt=edit.target_prompt,
                        **{name: here.few[name] for name in ("steps", "max_iterations") if here.quick},
                    )
                    done = client.wait(asked.id)
                    seconds = round(time.perf_counter() - start, 3)
                    found["edits"].append({"seconds": seconds, "state": done.state})
        return found

    here.note("demo edit", measured)


def _png(picture: Image.Image) -> bytes:
    target = BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


def memory(here: Here) -> None:
    """Peaks of memory: a default edit, with 4 results in a batch, with recomputed passes (CUDA's allocator)."""
    pipe = here.sd()
    config = EditConfig(**{**here.few, "steps": 2, "max_iterations": 2}).closed()
    here.note("default", partial(here.edit, pipe, config))
    here.note("4 results", partial(here.edit, pipe, replace(config, n=4)))
    pipe.unet.enable_gradient_checkpointing()
    here.note("recomputed passes", partial(here.edit, pipe, config))


def batches(here: Here) -> None:
    """Seconds of each pass for 1, 2, 4 and 8 results: one by one, and in one batch."""
    pipe = here.sd()

    def compare(results: int) -> dict[str, Any]:
        found = {}
        with frozen(pipe.unet):
            for name, run in passes(pipe, results).items():
                run(results)

                def alone(run: Callable[[int], None] = run) -> None:
                    for _ in range(results):
                        run(1)

                one, together = in_turn(alone, partial(run, results), here.rounds, here.clock)
                found[name] = {"one_by_one_s": one, "together_s": together}
        return found

    for results in TOGETHER[:2] if here.quick else TOGETHER:
        here.note(str(results), partial(compare, results))


def sdxl(here: Here) -> None:
    """One edit at Stable Diffusion XL's size."""
    pipe = here.sdxl()
    here.note("fast", partial(here.edit, pipe, EditConfig.preset("fast", **here.few).closed()))


def workers(here: Here) -> None:
    """Edits per minute of one process, and of two that share the GPU."""
    for number in (1, 2):
        here.note(str(number), partial(_share, here, number))


def _share(here: Here, number: int) -> dict[str, Any]:
    fork = multiprocessing.get_context("fork")  # this process itself never uses CUDA
    ready, told = fork.Barrier(number), fork.Queue()
    count = 1 if here.quick else 5
    processes = [
        fork.Process(target=_worker, args=(here.device, here.quick, count, ready, told), daemon=True)
        for _ in range(number)
    ]
    for process in processes:
        process.start()
    seconds: list[float] = []
    while len(seconds) < number:
        try:
            seconds.append(told.get(timeout=1))
        except Exception as error:
            if any(process.exitcode for process in processes):
                raise RuntimeError("a worker process failed") from error
    for process in processes:
        process.join()
    return {"edits_per_minute": round(60 * number * count / max(seconds), 2), "seconds": seconds}


def _worker(device: str, quick: bool, count: int, ready: Any, told: Any) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="magedit-") as folder:
        here = Here(device, quick, Journal(Path(folder) / "own.jsonl", resume=False))
        pipe, config = here.sd(), EditConfig.preset("fast", **here.few).closed()
        pipe.set_progress_bar_config(disable=True)
        here.edit(pipe, config)
        ready.wait()
        start = time.perf_counter()
        for _ in range(count):
            here.edit(pipe, config)
        told.put(time.perf_counter() - start)


def compiling(here: Here) -> None:
    """Seconds of each pass as it is, with compiled regions, and, for the sampling pass, as a CUDA graph."""
    pipe = here.sd()
    torch._dynamo.config.recompile_limit = 256
    plain = passes(pipe, 1)

    def compare(region: str, name: str) -> dict[str, Any]:
        # Without generated code, compilation is quick and needs no C++ compiler.
        backend = "aot_eager" if here.quick else "inductor"
        other = MAGEditPipeline(pipe.backbone.with_network(compiled(pipe.unet, COMPILED[region], backend)))
        with frozen(pipe.unet), frozen(other.unet):
            run = passes(other, 1)[name]
            start = time.perf_counter()
            run(1)
            first = time.perf_counter() - start
            before, after = in_turn(partial(plain[name], 1), partial(run, 1), here.rounds, here.clock)
        return {"plain_s": before, "compiled_s": after, "first_s": round(first, 1)}

    def graph() -> dict[str, Any]:
        if not here.clock.cuda:
            return {"skipped": "a CUDA graph needs CUDA"}
        name = "sampling pass"
        with frozen(pipe.unet), torch.no_grad():
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            with torch.cuda.stream(stream):
                for _ in range(3):
                    plain[name](1)
            stream.synchronize()
            captured = torch.cuda.CUDAGraph()
            with torch.cuda.graph(captured, stream=stream):
                plain[name](1)
            before, after = in_turn(partial(plain[name], 1), captured.replay, here.rounds, here.clock)
        return {"plain_s": before, "graph_s": after}

    here.note("CUDA graph, sampling pass", graph)
    regions = list(COMPILED)[:1] if here.quick else list(COMPILED)
    for region in regions:
        for name in list(plain)[:1] if here.quick else plain:
            here.note(f"{region}, {name}", partial(compare, region, name))


PARTS: Mapping[str, Callable[[Here], None]] = {
    each.__name__: each for each in (device, edits, vectors, service, memory, batches, sdxl, workers, compiling)
}


def run_here(name: str, device: str, quick: bool, out: Path) -> None:
    """Run one part in this process; its figures go to ``out``, lines of JSON."""
    if torch.cuda._is_in_bad_fork():
        # A module looked for a GPU when it was imported: the part imports everything again, in a fresh program.
        call = f"run_here({name!r}, {device!r}, {quick!r}, Path({str(out)!r}))"
        program = f"from pathlib import Path; from benchmarks.gpu.parts import run_here; {call}"
        os.execv(sys.executable, [sys.executable, "-c", program])
    if device == "cpu":
        torch.set_num_threads(1)
    PARTS[name](Here(device, quick, Journal(out, resume=False)))
