"""Cost of previews: CPU seconds of one, including its JPEG, relative to its edit."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any
from unittest import mock

from rich.console import Console

from magedit.config import EditConfig
from magedit.demo import checkpoint_path, demo_edit
from magedit.measures.report import PREVIEW_INTERVAL_S, OnPreview, Preview
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.pipelines.preview import Previews
from worker.heartbeat import encoded


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the cost of one preview and its share of an edit that makes one in each interval."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preview", description=__doc__)
    parser.add_argument("--checkpoint", default=str(checkpoint_path()), help="folder or hub id (default: the demo)")
    asked = parser.parse_args(arguments)
    pipe = MAGEditPipeline.from_pretrained(asked.checkpoint)
    pipe.set_progress_bar_config(disable=True)
    began = time.process_time()
    _ = pipe.latent_colours
    fit_s = time.process_time() - began
    _edit(pipe, None)
    began_wall, plain_s = time.perf_counter(), _edit(pipe, None)
    wall_s = time.perf_counter() - began_wall
    console, spent = Console(), list[float]()
    show = Previews.show

    def timed(self: Previews, *arguments: Any, **options: Any) -> None:
        began = time.process_time()
        show(self, *arguments, **options)
        spent.append(time.process_time() - began)

    pipe.preview_interval_s = 0.0

    def keep(preview: Preview) -> None:
        encoded(preview)

    with mock.patch.object(Previews, "show", timed):
        _edit(pipe, keep)
    each_s = sum(spent) / len(spent)
    console.print(f"fit of the colours, once a process: {1000 * fit_s:.0f} ms of CPU time")
    console.print(f"edit: {plain_s:.2f} s of CPU time, {wall_s:.2f} s of wall time")
    console.print(f"one preview: {1000 * each_s:.2f} ms of CPU time (mean of {len(spent)})")
    share = wall_s / PREVIEW_INTERVAL_S * each_s / plain_s
    console.print(f"one in {PREVIEW_INTERVAL_S:g} s: {100 * share:.2f} % of the edit")


def _edit(pipe: MAGEditPipeline, on_preview: OnPreview | None) -> float:
    """CPU seconds of the demo edit."""
    asked = demo_edit("picture")
    inputs = (asked.image(), asked.mask(), asked.source_prompt, asked.target_prompt, (), EditConfig())
    began = time.process_time()
    pipe(*inputs, on_preview=on_preview)
    return time.process_time() - began


if __name__ == "__main__":
    main()
