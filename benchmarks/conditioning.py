"""How far null-text inversion carries a rounding error on the tiny test checkpoint.

Runs the optimisation twice, the second time on a latent changed by one part in a million, and prints the relative
difference of the embeddings per step: the bound below which no free run can be compared with recorded numbers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console

from magedit.backbones.stable_diffusion.denoiser import frozen
from magedit.config import EditConfig
from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.null_text.loop import null_text
from magedit.meter import Meter
from magedit.pipelines.mag_edit import MAGEditPipeline

DATA = Path(__file__).parent.parent / "tests" / "data"
CHANGE = 1e-6
"""Relative size of the change of z_0."""


def main() -> None:
    """Print a line per step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    torch.set_num_threads(1)
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(DATA / "tiny-checkpoint")
    config = EditConfig(inversion="null-text", null_text_iterations=2)
    runs: list[Inverted] = []
    with torch.no_grad(), frozen(pipe.unet):
        latent = pipe._encode(Image.open(DATA / "vectors" / "inputs" / "room.png"))
        source, empty = pipe._embed("a room with a red sofa, a blue carpet and a yellow lamp"), pipe._embed("")
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed)) * latent.std()
        for z in (latent, latent + CHANGE * noise):
            runs.append(null_text(InversionTask(pipe._denoiser(config, Meter({})), z, source, empty, config)))
    console = Console()
    for step in range(config.steps):
        first, second = (run.unconditional[step] for run in runs)
        console.print(f"step {step:2d}: relative difference {float((first - second).norm() / first.norm()):.1e}")


if __name__ == "__main__":
    main()
