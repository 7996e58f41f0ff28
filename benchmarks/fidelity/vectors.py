"""Relative errors (Euclidean norm) against every recorded vector, free run and forced steps, as the tests compute them.

The same edits as `tests/magedit/pipelines/test_vectors.py`, which asserts on them; this prints the figures.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magedit.pipelines.mag_edit import MAGEditPipeline


def figures(pipe: MAGEditPipeline, name: str) -> dict[str, float]:
    """Largest relative error per kind of vector of the case ``name``."""
    import pytest

    from tests.magedit.conftest import VECTORS, relative
    from tests.magedit.pipelines import test_vectors as vectors

    case = json.loads((VECTORS / "cases.json").read_text())[name]
    with pytest.MonkeyPatch.context() as patch:
        run = vectors.free_run(pipe, patch, name, case)
    iterations = case["iters"]
    losses, wanted = vectors.losses_of(run)
    result = {
        "VAE latent": relative(vectors.vae_latent(run, pipe), run.vectors["vae_latent"]),
        "inversion, 50 steps": max(
            relative(run.inverted.latents[50 - steps][0], run.vectors["ddim_latents"][index])
            for index, steps in enumerate((1, 10, 25, 40, 50))
        ),
        "75 losses, free run": float(((losses - wanted).abs() / wanted).max()),
    }
    for step in (0, 1, 12, 24, 34):
        result[f"null embedding of step {step}, free run"] = relative(
            run.inverted.unconditional[step].hidden_states[0], vectors.recorded(run, "null_embeddings", step)
        )
        result[f"edit latent after step {step}, free run"] = relative(
            run.after[step][0], vectors.recorded(run, "latents_after_step", step)[1]
        )
    forced = vectors.forced_run(run, pipe)
    for kind, edited in (("free run", run), ("forced", forced)):
        losses, wanted = vectors.losses_of(edited)
        for index, step in enumerate(vectors.GUIDED):
            steps = slice(step * iterations, (step + 1) * iterations)
            result[f"losses of step {step}, {kind}"] = float(((losses - wanted).abs() / wanted)[steps].max())
            result[f"gradient at step {step}, {kind}"] = max(
                relative(edited.gradients[step * iterations + k], run.vectors["gradient"][index * iterations + k])
                for k in range(iterations)
            )
            result[f"optimised latent at step {step}, {kind}"] = relative(
                edited.optimised[step][0], run.vectors["optimised_latent"][index]
            )
    for before, step in vectors.CONSECUTIVE:
        embedding, latent = vectors.forced_optimisation(run, pipe, before, step)
        result[f"null embedding of step {step}, forced"] = relative(
            embedding[0], vectors.recorded(run, "null_embeddings", step)
        )
        result[f"source latent after step {step}, forced"] = relative(
            latent[0], vectors.recorded(run, "latents_after_step", step)[0]
        )
    for step, (got, recorded) in vectors.edit_latents(run, forced, pipe).items():
        result[f"edit latent after step {step}, forced"] = relative(got, recorded)
    return result


def main() -> None:
    """Print one row per kind of vector and one column per case."""
    argparse.ArgumentParser(description="Print the errors against the recorded vectors; takes minutes.").parse_args()
    # Loaded only now, so that --help answers at once.
    import torch
    from rich.console import Console
    from rich.table import Table

    from tests.magedit.conftest import load_pipeline
    from tests.magedit.pipelines import test_vectors as vectors

    torch.set_num_threads(1)
    pipe = load_pipeline()
    cases = {name: figures(pipe, name) for name in vectors.CASES}
    table = Table(title="largest relative error against the recorded vectors")
    table.add_column("vector")
    for name in cases:
        table.add_column(name, justify="right")
    for kind in next(iter(cases.values())):
        table.add_row(kind, *(f"{errors[kind]:.1e}" for errors in cases.values()))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
