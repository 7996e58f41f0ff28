"""Propagation of rounding errors on the tiny test checkpoint, from which the check vectors' tolerances are derived.

Perturbs every recorded state by one part in a million and prints the largest relative change of each result over that
perturbation: forced from the recorded states (`tests/magedit/pipelines/test_vectors.py`), and in a free run from z_0,
which no tight tolerance can hold.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file
from torch import Tensor

from magedit.backbones.base import frozen
from magedit.inversion.base import InversionTask
from magedit.inversion.ddim.loop import trajectory
from magedit.measures.meter import Meter
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import VECTORS, load_pipeline, relative
from tests.magedit.pipelines import test_vectors as vectors

CHANGE = 1e-6
"""Relative size of the change, with a standard normal distribution."""

Results = dict[str, list[Tensor]]


def changed(states: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The recorded states, perturbed."""
    random = torch.Generator().manual_seed(seed)
    return {name: state * (1 + CHANGE * torch.randn(state.shape, generator=random)) for name, state in states.items()}


def forced(pipe: MAGEditPipeline, run: vectors.Run) -> Results:
    """Results recomputed from the recorded states of a run, by kind."""
    with torch.no_grad(), frozen(pipe.unet):
        source, empty = pipe.encode(run.case["source"]), pipe.encode("")
        denoiser = pipe._denoiser(run.config, Meter({}))
        path = trajectory(InversionTask(denoiser, run.vectors["vae_latent"], source, empty, run.config))
    first = vectors.optimised_from(run, pipe, 0, run.vectors["inverted"], empty.hidden_states)
    optimised = [first, *(vectors.forced_optimisation(run, pipe, *pair) for pair in vectors.CONSECUTIVE)]
    edited = vectors.forced_run(run, pipe)
    steps = [step * run.case["iters"] + iteration for step in vectors.GUIDED for iteration in range(run.case["iters"])]
    losses, _ = vectors.losses_of(edited)
    return {
        "trajectory": list(path[:-1]),
        "null embedding": [embedding for embedding, _ in optimised],
        "latent": [
            *(latent for _, latent in optimised),
            *(edited.optimised[step] for step in vectors.GUIDED),
            *(latent for latent, _ in vectors.edit_latents(run, edited, pipe).values()),
        ],
        "gradient": [edited.gradients[step] for step in steps],
        "loss": [losses[step] for step in steps],
    }


def free(run: vectors.Run) -> Results:
    """Results of the free run."""
    losses, _ = vectors.losses_of(run)
    return {
        "loss, free run": list(losses),
        "gradient of step 0, free run": run.gradients[: run.case["iters"]],
        "null embedding of step 49, free run": [run.inverted.unconditional[49].hidden_states],
    }


def amplification(pipe: MAGEditPipeline, name: str, seeds: range) -> dict[str, float]:
    """Amplification per kind of result: its relative change over that of its inputs, the largest over ``seeds``."""
    case, states = json.loads((VECTORS / "cases.json").read_text())[name], load_file(VECTORS / f"{name}.safetensors")

    def both(run: vectors.Run, given: dict[str, Tensor]) -> Results:
        with pytest.MonkeyPatch.context() as patch:
            return forced(pipe, replace(run, vectors=given)) | free(
                vectors.free_run(pipe, patch, name, case, vectors=given)
            )

    with pytest.MonkeyPatch.context() as patch:
        run = vectors.free_run(pipe, patch, name, case)
    base = both(run, states)
    found = dict.fromkeys(base, 0.0)
    for seed in seeds:
        for kind, results in both(run, changed(states, seed)).items():
            errors = [relative(got, wanted) for got, wanted in zip(results, base[kind], strict=True)]
            found[kind] = max(found[kind], max(errors) / CHANGE)
    return found


def main() -> None:
    """Print a line per kind of result and a column per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="number of random changes")
    seeds = range(1, 1 + parser.parse_args().seeds)
    torch.set_num_threads(1)
    pipe = load_pipeline()
    cases = {name: amplification(pipe, name, seeds) for name in vectors.CASES}
    table = Table(title="relative change of a result over that of its inputs")
    table.add_column("result")
    for name in cases:
        table.add_column(name, justify="right")
    for kind in next(iter(cases.values())):
        table.add_row(kind, *(f"{found[kind]:.3g}" for found in cases.values()))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
