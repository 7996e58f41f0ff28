"""Gain of compiled regions: eager UNet passes against `torch.compile` on parts of them.

    python -m benchmarks.speed.compiling

Residual blocks, and feed-forward layers besides, are compiled with static shapes; attention is not, since its edits
change from pass to pass. On the demo checkpoint and one thread; processor time, medians. Needs a C++ compiler.
"""

from __future__ import annotations

import argparse
import copy
import time
from functools import partial

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D
from rich.console import Console

from benchmarks.speed.batching import in_turn, passes
from magedit.backbones.base import frozen
from magedit.demo import checkpoint_path
from magedit.pipelines.mag_edit import MAGEditPipeline

COMPILED: dict[str, tuple[type[torch.nn.Module], ...]] = {
    "residual blocks": (ResnetBlock2D,),
    "residual blocks and feed-forward": (ResnetBlock2D, FeedForward),
}


def compiled(
    unet: UNet2DConditionModel, kinds: tuple[type[torch.nn.Module], ...], backend: str = "inductor"
) -> UNet2DConditionModel:
    """A copy of ``unet`` whose modules of these ``kinds`` are compiled by ``backend`` when they are first called."""
    own = copy.deepcopy(unet)
    for module in own.modules():
        if isinstance(module, kinds):
            module.compile(dynamic=False, backend=backend)
    return own


def main() -> None:
    """Print a line per pass and region."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    # A block has a graph for each of its shapes, with and without gradients.
    torch._dynamo.config.recompile_limit = 256
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(checkpoint_path())
    plain = passes(pipe, 1)
    for region, kinds in COMPILED.items():
        other = MAGEditPipeline(pipe.backbone.with_network(compiled(pipe.unet, kinds)))
        with frozen(pipe.unet), frozen(other.unet):
            for name, run in passes(other, 1).items():
                began = time.perf_counter()
                run(1)
                first = time.perf_counter() - began
                before, after = in_turn(partial(plain[name], 1), partial(run, 1), asked.rounds)
                Console(soft_wrap=True).print(
                    f"{region}, {name}: {1e3 * before:.1f} ms, compiled {1e3 * after:.1f} ms, "
                    f"{before / after:.2f} times; the first one took {first:.0f} s"
                )


if __name__ == "__main__":
    main()
