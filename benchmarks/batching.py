"""What a batch would save: UNet passes of several results one by one, and in one batch.

    python -m benchmarks.batching --results 4

The sampling pass (two rows a result), and the pass up to the guidance layers with its backward pass (one row), on the
demo checkpoint and one thread. Processor time, medians of rounds that take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from rich.console import Console

from magedit.attention import LayerEdit, editing, find_layers, guidance_layers
from magedit.demo import checkpoint_path
from magedit.denoiser import frozen
from magedit.pipeline import MAGEditPipeline
from magedit.truncated import attend_until

TIMESTEP = 500


def passes(pipe: MAGEditPipeline, results: int) -> dict[str, Callable[[int], None]]:
    """Each pass as a function of its batch, which is at most ``results``."""
    unet, side = pipe.unet, pipe.latent_side
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(results, unet.config.in_channels, side, side, generator=generator)
    prompts = pipe._embed("a room").expand(results, -1, -1)
    read = guidance_layers(find_layers(unet, side), pipe.guidance_side)

    def sample(batch: int) -> None:
        with torch.no_grad():
            unet(latents[:batch].repeat(2, 1, 1, 1), TIMESTEP, prompts[:batch].repeat(2, 1, 1), return_dict=False)

    def guide(batch: int) -> None:
        variable = latents[:batch].clone().requires_grad_(True)
        with torch.enable_grad(), editing(unet, {layer.name: LayerEdit(read=True) for layer in read}) as maps:
            attend_until(unet, variable, TIMESTEP, prompts[:batch], read[-1].name)
            loss = torch.stack([each[..., 1].square().mean() for each in maps.values()]).sum()
        torch.autograd.grad(loss, variable)

    return {"sampling pass": sample, "guidance, forward and backward": guide}


def compare(pipe: MAGEditPipeline, results: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Processor seconds of each pass for ``results`` results, one by one and in one batch."""
    found = {}
    with frozen(pipe.unet):
        for name, run in passes(pipe, results).items():
            run(results)
            alone, together = [], []
            for _ in range(rounds):
                started = time.process_time()
                for _ in range(results):
                    run(1)
                between = time.process_time()
                run(results)
                alone.append(between - started)
                together.append(time.process_time() - between)
            found[name] = (median(alone), median(together))
    return found


def main() -> None:
    """Print a line per pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(checkpoint_path())
    for name, (alone, together) in compare(pipe, asked.results, asked.rounds).items():
        times = f"{1e3 * alone:.0f} ms one by one, {1e3 * together:.0f} ms in a batch"
        Console().print(f"{name} of {asked.results} results: {times}, {alone / together:.2f} times")


if __name__ == "__main__":
    main()
