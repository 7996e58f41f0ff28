"""Time saved by batching several results, per UNet pass and per edit.

    python -m benchmarks.speed.batching --results 4

The sampling pass (two rows a result), and the pass up to the guidance layers with its backward pass (one row); then the
demo edit with a sweep of so many strengths and with so many seeds. On the demo checkpoint and one thread. Processor
time, medians of rounds that take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from rich.console import Console

from magedit.backbones.base import frozen, sites_at
from magedit.backbones.stable_diffusion.attention import capturing, find_sites
from magedit.backbones.stable_diffusion.truncated import attend_until
from magedit.config import EditConfig
from magedit.demo import checkpoint_path, demo_edit
from magedit.pipelines.mag_edit import MAGEditPipeline

TIMESTEP = 500


def passes(pipe: MAGEditPipeline, results: int) -> dict[str, Callable[[int], None]]:
    """Each pass as a function of its batch, which is at most ``results``."""
    unet, side = pipe.unet, pipe.latent_side
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(results, unet.config.in_channels, side, side, generator=generator).to(unet.device, unet.dtype)
    prompts = pipe.encode("a room").expand(results).hidden_states.to(unet.dtype)
    read = sites_at(find_sites(unet, side), pipe.guidance_side)

    def sample(batch: int) -> None:
        with torch.no_grad():
            unet(latents[:batch].repeat(2, 1, 1, 1), TIMESTEP, prompts[:batch].repeat(2, 1, 1), return_dict=False)

    def guide(batch: int) -> None:
        variable = latents[:batch].clone().requires_grad_(True)
        with torch.enable_grad(), capturing(unet, read) as maps:
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

            def alone(run: Callable[[int], None] = run) -> None:
                for _ in range(results):
                    run(1)

            found[name] = in_turn(alone, partial(run, results), rounds)
    return found


def compare_edit(pipe: MAGEditPipeline, config: EditConfig, rounds: int) -> tuple[float, float]:
    """Processor seconds of the demo edit under ``config``, inversion included, without batches and with all results in
    one; ``pipe`` is left with the latter."""
    edit = demo_edit()
    given = (edit.image(pipe.size), [edit.mask(pipe.size)], edit.source_prompt, edit.target_prompt, (), config)

    def run(together: int) -> None:
        pipe.batch_results = together
        pipe(*given)

    return in_turn(partial(run, 1), partial(run, config.results), rounds)


def in_turn(
    one: Callable[[], None],
    other: Callable[[], None],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> tuple[float, float]:
    """Median seconds of each by ``clock``, over rounds in which both run."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, spent in zip((one, other), seconds, strict=True):
            started = clock()
            run()
            spent.append(clock() - started)
    return median(seconds[0]), median(seconds[1])


def main() -> None:
    """Print a line per pass, and one for the edit by each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=15, help="of passes")
    parser.add_argument("--edits", type=int, default=3, help="rounds of whole edits")
    parser.add_argument("--steps", type=int, default=EditConfig.steps, help="of whole edits")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(checkpoint_path())
    found = {
        f"{name} of {asked.results} results": each for name, each in compare(pipe, asked.results, asked.rounds).items()
    }
    strengths = tuple((n + 1) / asked.results for n in range(asked.results))
    configs = {
        f"edit with strengths {', '.join(f'{s:.2g}' for s in strengths)}": EditConfig(
            steps=asked.steps, sweep=strengths
        ).closed(),
        f"edit with {asked.results} seeds": EditConfig(steps=asked.steps, n=asked.results).closed(),
        f"edit by p2p with {asked.results} seeds": EditConfig(steps=asked.steps, method="p2p", n=asked.results),
    }
    found |= {name: compare_edit(pipe, config, asked.edits) for name, config in configs.items() if asked.edits}
    for name, (alone, together) in found.items():
        times = f"{1e3 * alone:.0f} ms one by one, {1e3 * together:.0f} ms in a batch"
        Console().print(f"{name}: {times}, {alone / together:.2f} times")


if __name__ == "__main__":
    main()
