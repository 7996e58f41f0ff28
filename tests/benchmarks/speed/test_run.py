"""What the presets save, and the whole command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from benchmarks.speed import counters, run
from benchmarks.speed.costs import Bench, Journal
from benchmarks.speed.run import (
    compare,
    extrapolated,
    growth,
    sd_passes,
    unstopped,
)
from magedit.config import PresetName
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import CHECKPOINT, load_pipeline

FEW: dict[str, Any] = {"steps": 2, "max_iterations": 3, "null_text_iterations": 2}


def test_the_papers_counts_come_out_of_the_unstopped_rows() -> None:
    """METHOD's figures: passes of 803, 397 and 444 GFLOP; 1.9, 1.4, 0.5 and 0.25 PFLOP."""
    each = {"forward": 803e9, "graded": 803e9, "source": 803e9, "truncated": 397e9, "backward": 444e9}
    each["embedding"] = each["forward"]
    each |= {f"plain {kind}": flops for kind, flops in each.items()}
    edits = extrapolated(unstopped(), each, dict.fromkeys(each, 1.0))
    for (name, row), petaflop in zip(edits.items(), (1.9, 1.4, 0.5, 0.25), strict=True):
        assert row["flops"] / 1e15 == pytest.approx(petaflop, rel=0.07), name
    assert edits["direct, every update"]["seconds"] == 150 + 40 + 375 + 375
    released = unstopped()["released, every update"]
    assert released.forward + released.graded == 1650
    assert released.backward + released.embedding == 875


def test_presets_against_the_released_schedule(bench: Bench, tmp_path: Path) -> None:
    costs = compare(bench, bench, 1, Journal(tmp_path / "run.jsonl", resume=False), **FEW)
    released, exact, balanced = (costs[name] for name in ("released", "exact", "balanced"))
    # A pass of the source for each update, whole passes with gradients, both branches of each sampling step.
    assert released.passes.backward == exact.passes.backward == 3
    assert released.passes.graded == released.passes.embedding + 3
    assert released.passes.forward == exact.passes.forward + 2 + 3 + 2 * 2
    assert released.flops > exact.flops > balanced.flops
    assert released.mebibytes > exact.mebibytes >= balanced.mebibytes


@pytest.mark.usefixtures("_no_peak")
def test_cost_grows_with_steps_updates_and_regions(bench: Bench, tmp_path: Path) -> None:
    grown = growth(bench, Journal(tmp_path / "run.jsonl", resume=False), steps=2)
    steps = [cost.flops for cost in grown["steps"].values()]
    assert steps == sorted(steps)
    # A step may end before its last update.
    few, more, most, *_ = (cost.passes.backward for cost in grown["updates"].values())
    assert few == 5 < more <= 10 < most <= 20
    assert set(grown["regions"]) == {"1", "2"}


@pytest.fixture
def small(pipe: MAGEditPipeline, monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """The whole command on the tiny checkpoint, also where it would take models of SD's size; the number formats in
    which it loads these."""
    loaded: list[torch.dtype] = []

    def load(dtype: torch.dtype) -> MAGEditPipeline:
        loaded.append(dtype)
        return load_pipeline(dtype=dtype)

    monkeypatch.setattr(counters, "PEAK_SIDE", 64)
    monkeypatch.setattr(run, "checkpoint_path", lambda: CHECKPOINT)
    monkeypatch.setattr(run, "sd_pipeline", load)
    monkeypatch.setattr(run, "SD_UNET", dict(pipe.unet.config))
    monkeypatch.setattr(run, "SD_SIDES", (pipe.latent_side, pipe.guidance_side))
    return loaded


@pytest.mark.usefixtures("_no_peak")
def test_the_command_with_edits_of_sd_size_in_half_precision(
    small: list[torch.dtype], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    options = ["--steps", "2", "--repeats", "1", "--dtype", "bfloat16", "--sd", "--sd-repeats", "1"]
    options += ["--sd-edits", "--resume"]
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["speed", *options, "--state", str(tmp_path), "--json", str(file)])
        run.main()
    figures = json.loads(file.read_text())
    assert set(figures["sd edits"]) == set(figures["edits"]) == {"released", *get_args(PresetName)}
    assert set(figures["sd"]["edits"]) == set(figures["edits"]) | set(unstopped())
    assert small == [torch.float32, torch.bfloat16] * 2
    assert "whole edits of SD 1.x size" in capsys.readouterr().out


def test_passes_of_sd_size_are_what_method_counts(pipe: MAGEditPipeline, tmp_path: Path) -> None:
    found = sd_passes(pipe.backbone, {}, "cpu", 0, Journal(tmp_path / "run.jsonl", resume=False))
    for kind, giga in {"forward": 803, "truncated": 397, "backward": 444}.items():
        assert found["flops"][kind] / 1e9 == pytest.approx(giga, rel=0.02), kind
    assert set(found["edits"]) == set(unstopped())
