"""What is counted, priced and kept."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from rich.console import Console

from benchmarks import speed
from benchmarks.released import plain
from benchmarks.speed import (
    Bench,
    Clock,
    Cost,
    Job,
    Journal,
    PassBench,
    Passes,
    compare,
    counted,
    extrapolated,
    growth,
    pass_flops,
    pass_seconds,
    sd_passes,
    unstopped,
)
from magedit.config import EditConfig, PresetName, Region
from magedit.pipeline import MAGEditPipeline
from tests.magedit.conftest import Room, _one_thread, pipe, room

__all__ = ["_one_thread", "pipe", "room"]

SIX: dict[str, Any] = {"steps": 6, "max_iterations": 3, "null_text_iterations": 2}


@pytest.fixture
def job(room: Room) -> Job:
    return Job(room.image, (room.mask,), room.source, room.target, (Region(),))


@pytest.fixture
def bench(pipe: MAGEditPipeline, job: Job, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(speed, "PEAK_SIDE", 64)
    return Bench.of(pipe, job, Clock("cpu"))


@pytest.fixture
def _no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is measured by a further edit, which not every test needs."""
    monkeypatch.setattr(Bench, "_mebibytes", lambda *_: 1.0)


@pytest.mark.usefixtures("_no_peak")
@pytest.mark.parametrize("name", get_args(PresetName))
def test_the_rows_of_an_edit_are_those_that_it_reports(bench: Bench, name: PresetName) -> None:
    config = EditConfig.preset(name, **SIX)
    cost = bench.preset(config)
    job, passes = bench.job, cost.passes
    whole = bench.pipe(job.image, job.masks, job.source, job.target, job.regions, config, output_type="latent").measures
    # Both halves of classifier-free guidance share a pass.
    assert passes.forward + passes.graded == whole.unet_forward + 6
    assert passes.source + passes.truncated == whole.unet_truncated_forward
    assert passes.backward + passes.embedding == whole.unet_backward
    assert passes.truncated > 0
    assert (passes.embedding > 0) == (name == "exact")
    assert (passes.graded, passes.truncated >= passes.backward) == (passes.embedding, True)
    if name == "balanced":
        assert passes.forward == 6 + 2 * 6
        assert passes.source == config.source_steps


@pytest.mark.usefixtures("_no_peak")
def test_the_flops_of_an_edit_are_what_its_passes_cost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def grad(loss: Any, variable: Any) -> tuple[Any]:
        loss.backward()  # the counter cannot follow `torch.autograd.grad` to a leaf
        return (variable.grad,)

    monkeypatch.setattr(torch.autograd, "grad", grad)
    # Without injection, as passes are counted: the queries, keys and maps that it saves would be missing.
    config = EditConfig(**{**SIX, "steps": 2}, self_replace=0.0, cross_replace=0.0, gradient_tolerance=0.0)
    job, pipe = bench.job, bench.pipe
    inversion = pipe.invert(job.image, job.masks, job.source, config=config)
    measured, _ = counted(
        lambda: pipe(
            *(job.image, job.masks, job.source, job.target, job.regions, config),
            inversion=inversion,
            output_type="latent",
        )
    )
    passes = bench.preset(config).passes
    editing = replace(passes, forward=passes.forward - 2).total(bench.each)
    assert editing == pytest.approx(measured, rel=0.1)
    # Each kind of pass is a share of it that would be seen.
    for kind in ("forward", "truncated", "backward"):
        assert replace(passes, **{kind: 0}).total(bench.each) < 0.9 * passes.total(bench.each)


def test_kinds_of_pass_cost_what_they_hold(pipe: MAGEditPipeline) -> None:
    each = pass_flops(PassBench(pipe.unet, pipe.scheduler, pipe.latent_side, pipe.guidance_side))
    assert each["truncated"] < each["source"] < each["forward"]
    assert each["graded"] == each["forward"] == pytest.approx(each["plain forward"])
    # The way back from the noise is longer than that from the maps.
    assert each["backward"] < each["embedding"]
    seconds = pass_seconds(PassBench(pipe.unet, pipe.scheduler, pipe.latent_side, pipe.guidance_side), Clock("cpu"))
    assert set(seconds) == set(each)
    assert min(seconds.values()) > 0


def test_what_is_not_replaced_is_not_copied(pipe: MAGEditPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []
    cat = torch.cat

    def joined(parts: Any, *rest: Any, **named: Any) -> torch.Tensor:
        copied.append(1)
        return cat(parts, *rest, **named)

    monkeypatch.setattr(torch, "cat", joined)
    bench = PassBench(pipe.unet, pipe.scheduler, pipe.latent_side, pipe.guidance_side)
    # The UNet itself joins its skips.
    bench._forward()
    own = len(copied)
    copied.clear()
    with plain(pipe.unet):
        bench._forward()
    assert len(copied) == own


def test_the_papers_counts_come_out_of_the_unstopped_rows() -> None:
    """METHOD's figures: passes of 803, 397 and 444 GFLOP; 1.9, 1.4, 0.5 and 0.25 PFLOP."""
    each = {"forward": 803e9, "graded": 803e9, "source": 803e9, "truncated": 397e9, "backward": 444e9}
    each["embedding"] = each["forward"]
    each |= {f"plain {kind}": flops for kind, flops in each.items()}
    edits = extrapolated(unstopped(), each, dict.fromkeys(each, 1.0))
    for (name, row), petaflop in zip(edits.items(), (1.9, 1.4, 0.5, 0.25), strict=True):
        assert row["flops"] / 1e15 == pytest.approx(petaflop, rel=0.07), name
    assert edits["direct, every update"]["seconds"] == 150 + 40 + 375 + 375


def test_a_resumed_run_measures_only_what_is_missing(tmp_path: Path) -> None:
    measured: list[str] = []

    def take(name: str) -> dict[str, Any]:
        measured.append(name)
        return {"s": 1.5}

    file = tmp_path / "state" / "run.jsonl"
    first = Journal(file, resume=True)
    for name in ("a", "b"):
        assert first.once(name, lambda name=name: take(name)) == {"s": 1.5}  # type: ignore[misc]
    file.write_text(file.read_text()[:-4])
    again = Journal(file, resume=True)
    for name in ("a", "b"):
        again.once(name, lambda name=name: take(name))  # type: ignore[misc]
    assert measured == ["a", "b", "b"]
    assert [json.loads(line)["what"] for line in file.read_text().splitlines()] == ["a", "b"]
    cost = Cost(1.0, 0.5, Passes(forward=2), 3.0, 4.0, 5.0)
    assert again.cost("c", lambda: cost) == cost == Journal(file, resume=True).cost("c", lambda: cost)
    Journal(file, resume=False).once("a", lambda: take("a"))
    assert measured == ["a", "b", "b", "a"]


def test_presets_against_the_released_schedule(bench: Bench, tmp_path: Path) -> None:
    costs = compare(bench, bench, 1, Journal(tmp_path / "run.jsonl", resume=False), **{**SIX, "steps": 2})
    released, exact, balanced = (costs[name] for name in ("released", "exact", "balanced"))
    # A pass of the source for each update, whole passes with gradients, both branches of each sampling step.
    assert released.passes.backward == exact.passes.backward == 3
    assert released.passes.graded == released.passes.embedding + 3
    assert released.passes.forward == exact.passes.forward + 3 + 2 * 2
    assert released.flops > exact.flops > balanced.flops
    assert released.mebibytes > exact.mebibytes >= balanced.mebibytes
    speed.show(Console(quiet=True), "", costs)


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
    from tests.magedit.conftest import CHECKPOINT, load_pipeline

    loaded: list[torch.dtype] = []

    def load(dtype: torch.dtype) -> MAGEditPipeline:
        loaded.append(dtype)
        return load_pipeline(dtype=dtype)

    monkeypatch.setattr(speed, "PEAK_SIDE", 64)
    monkeypatch.setattr(speed, "checkpoint_path", lambda: CHECKPOINT)
    monkeypatch.setattr(speed, "sd_pipeline", load)
    monkeypatch.setattr(speed, "SD_UNET", dict(pipe.unet.config))
    monkeypatch.setattr(speed, "SD_SIDES", (pipe.latent_side, pipe.guidance_side))
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
        speed.main()
    figures = json.loads(file.read_text())
    assert set(figures["sd edits"]) == set(figures["edits"]) == {"released", *get_args(PresetName)}
    assert set(figures["sd"]["edits"]) == set(figures["edits"]) | set(unstopped())
    assert small == [torch.float32, torch.bfloat16] * 2
    assert "whole edits of SD 1.x size" in capsys.readouterr().out


def test_passes_of_sd_size_are_what_method_counts(pipe: MAGEditPipeline, tmp_path: Path) -> None:
    found = sd_passes(pipe.scheduler, {}, "cpu", 0, Journal(tmp_path / "run.jsonl", resume=False))
    for kind, giga in {"forward": 803, "truncated": 397, "backward": 444}.items():
        assert found["flops"][kind] / 1e9 == pytest.approx(giga, rel=0.02), kind
    assert set(found["edits"]) == set(unstopped())
