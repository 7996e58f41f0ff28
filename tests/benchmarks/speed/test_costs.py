"""Costs of whole edits, as they are counted, priced and kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from benchmarks.speed.costs import Bench, Cost, Journal
from benchmarks.speed.counters import counted
from benchmarks.speed.passes import Passes
from magedit.config import EditConfig, PresetName

SIX: dict[str, Any] = {"steps": 6, "max_iterations": 3, "null_text_iterations": 2}


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
def test_the_flops_of_an_edit_are_the_sum_of_its_passes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def grad(losses: Any, variables: Any) -> tuple[Any, ...]:
        torch.autograd.backward(losses)  # the counter cannot follow `torch.autograd.grad` to a leaf
        return tuple(variable.grad for variable in variables)

    monkeypatch.setattr(torch.autograd, "grad", grad)
    # Without injection, as passes are counted: the queries, keys and maps that it saves would be missing.
    config = EditConfig(
        **{**SIX, "steps": 2}, strength=1.0, self_replace=0.0, cross_replace=0.0, gradient_tolerance=0.0
    )
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
