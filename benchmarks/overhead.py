"""Overhead of an edit outside its model, in the pipeline and in the service (`make bench`).

The first is CPU time of this process inside and outside of the model's calls, backward passes included; with
`--sd STEPS` also on random weights of Stable Diffusion's size, where the same work weighs less. The second compares, in
turns, the pipeline in this process with the same edit over HTTP through front end, Redis and worker, without a cached
inversion: wall seconds from the start of the attempt to its commit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

import magedit.backbones.stable_diffusion.layout
from benchmarks.speed.sd import sd_pipeline
from cli.processes.stack import Stack
from jobs.settings import Settings
from magedit.client import Client
from magedit.config import EditConfig
from magedit.demo import checkpoint_path, demo_edit
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.prompts.kinds import config_for


class Inside:
    """Process time spent in wrapped calls; of nested calls the outer one counts."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """``call``, timed."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            began = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.process_time() - began

        return timed


@contextmanager
def inside(pipe: MAGEditPipeline) -> Iterator[Inside]:
    """Time the model's calls of an edit."""
    timer = Inside()
    calls = [
        (pipe.unet, "forward"),
        (pipe.vae, "encode"),
        (pipe.vae, "decode"),
        (pipe.text_encoder, "forward"),
        (magedit.backbones.stable_diffusion.layout, "attend_until"),
        (torch.autograd, "grad"),
        (torch.Tensor, "backward"),
    ]
    with ExitStack() as stack:
        for owner, name in calls:
            stack.enter_context(mock.patch.object(owner, name, timer.wrap(getattr(owner, name))))
        yield timer


def outside_share(pipe: MAGEditPipeline, config: EditConfig) -> float:
    """Share of the demo edit's process time outside of the model."""
    edit = demo_edit()
    with inside(pipe) as timer:
        began = time.process_time()
        pipe(edit.image(), [edit.mask()], edit.source_prompt, edit.target_prompt, (), config)
        return 1 - timer.seconds / (time.process_time() - began)


def bare_seconds(pipe: MAGEditPipeline, config: EditConfig) -> float:
    """Wall seconds of the demo edit in this process."""
    edit = demo_edit()
    began = time.perf_counter()
    pipe(edit.image(), [edit.mask()], edit.source_prompt, edit.target_prompt, (), config)
    return time.perf_counter() - began


def service_seconds(client: Client, config: EditConfig) -> float:
    """Wall seconds of the demo edit's attempt in a service."""
    edit = demo_edit()
    asked = client.submit(
        _png(edit.image()),
        [_png(edit.mask())],
        source_prompt=edit.source_prompt,
        target_prompt=edit.target_prompt,
        steps=config.steps,
    )
    timings = client.wait(asked.id).timings
    assert timings.started_at is not None
    assert timings.finished_at is not None
    return (timings.finished_at - timings.started_at).total_seconds()


def _asked_for(steps: int) -> EditConfig:
    """The demo edit's configuration in ``steps`` steps, with its kind's defaults, as the service resolves it."""
    edit = demo_edit()
    return config_for(edit.source_prompt, edit.target_prompt, steps=steps)


def _png(image: Image.Image) -> bytes:
    target = BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def measure(folder: Path, config: EditConfig, repeats: int) -> dict[str, float]:
    """Medians over ``repeats`` turns."""
    torch.set_num_threads(1)
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(checkpoint_path())
    settings = Settings(state_dir=folder, api_port=0, inversion_ttl_s=0)
    outside, bare, service = [], [], []
    with Stack(settings, workers=1, embedded=True) as stack, Client(stack.url) as client:
        stack.wait_ready()
        for _ in range(repeats):
            outside.append(outside_share(pipe, config))
            bare.append(bare_seconds(pipe, config))
            service.append(service_seconds(client, config))
    return {
        "outside_model": statistics.median(outside),
        "bare_s": statistics.median(bare),
        "service_s": statistics.median(service),
        "service_over_bare": statistics.median(there / here for there, here in zip(service, bare, strict=True)) - 1,
    }


def main() -> None:
    """Print the table and, if asked, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=EditConfig.steps)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--sd", type=int, metavar="STEPS", help="also an edit of STEPS steps at Stable Diffusion's size"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="magedit-") as folder:
        figures = measure(Path(folder), _asked_for(asked.steps), asked.repeats)
    table = Table(title=f"demo edit, {asked.steps} steps, median of {asked.repeats}")
    for name in ("outside the model", "pipeline, s", "in the service, s", "the service adds"):
        table.add_column(name, justify="right")
    table.add_row(
        f"{figures['outside_model']:.1%}",
        f"{figures['bare_s']:.2f}",
        f"{figures['service_s']:.2f}",
        f"{figures['service_over_bare']:+.1%}",
    )
    Console().print(table)
    if asked.sd:
        figures["outside_model_sd"] = outside_share(sd_pipeline(torch.float32), _asked_for(asked.sd))
        Console().print(
            f"at Stable Diffusion's size, {asked.sd} steps: {figures['outside_model_sd']:.2%} outside the model"
        )
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
