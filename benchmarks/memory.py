"""Memory of an edit on a checkpoint of Stable Diffusion 1.x size with random weights (`make bench-memory`).

Counted are the bytes of all tensors that are alive at a time: weights, maps, latents, and what the backward pass needs.
What a device's libraries take for themselves (CUDA's context, workspaces of convolutions) comes on top.
"""

from __future__ import annotations

import argparse
import gc
import json
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks.speed import SD_UNET
from magedit.config import EditConfig, Region
from magedit.demo import checkpoint_path
from magedit.pipeline import MAGEditPipeline
from magedit.report import Progress

MIB = 2**20

SD_VAE: dict[str, Any] = {
    "sample_size": 512,
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
"""What Stable Diffusion 1.x's VAE sets."""
SD_TEXT: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
}
"""CLIP ViT-L/14's text encoder, which Stable Diffusion 1.x uses."""


class Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that operations inside make, from their first appearance to their end."""

    def __init__(self, tensors: list[Tensor]) -> None:
        """``tensors`` are there already."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()
        for tensor in tensors:
            self._see(tensor)
        self.peak = self.now

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and look at what it gave."""
        del types
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        return out

    def restart(self) -> None:
        """The peak from here on."""
        self.peak = self.now

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address = id(storage)
        if address in self._known:
            return
        size = storage.nbytes()
        self._known.add(address)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._end, address, size)

    def _end(self, address: int, size: int) -> None:
        self._known.discard(address)
        self.now -= size


def sd_pipeline(dtype: torch.dtype) -> MAGEditPipeline:
    """Random weights in Stable Diffusion 1.x's sizes, with the demo's tokenizer."""
    demo: MAGEditPipeline = MAGEditPipeline.from_pretrained(checkpoint_path())
    text = CLIPTextConfig(**SD_TEXT, vocab_size=49408, bos_token_id=0, eos_token_id=1, pad_token_id=1)
    with _of(dtype):
        parts = (AutoencoderKL(**SD_VAE), CLIPTextModel(text), UNet2DConditionModel(**SD_UNET))
    vae, encoder, unet = (part.to(dtype).eval() for part in parts)
    return MAGEditPipeline(vae, encoder, demo.tokenizer, unet, demo.scheduler)


@contextmanager
def _of(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def weights(pipe: MAGEditPipeline) -> dict[str, list[Tensor]]:
    """Weights and buffers of each part."""
    parts = {"UNet": pipe.unet, "VAE": pipe.vae, "text encoder": pipe.text_encoder}
    return {name: [*part.parameters(), *part.buffers()] for name, part in parts.items()}


def peaks(pipe: MAGEditPipeline, config: EditConfig) -> dict[str, float]:
    """Peak MiB of each stage of one edit, weights included."""
    size = pipe.size
    image = Image.effect_noise((size, size), 60).convert("RGB")
    mask = Image.new("L", (size, size))
    mask.paste(255, (size // 4, size // 4, size // 2, size // 2))
    found: dict[str, float] = {}
    with Living([tensor for part in weights(pipe).values() for tensor in part]) as living:

        def note(progress: Progress) -> None:
            found[progress.stage] = max(found.get(progress.stage, 0.0), living.peak / MIB)
            living.restart()

        pipe(image, [mask], "a room", "a red room", [Region(words=("red",))], config, on_progress=note)
        found["end"] = living.peak / MIB
    return found


def resident_mib() -> float:
    """Resident memory of this process, MiB (VmRSS of proc(5))."""
    gc.collect()
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def growth(edits: int, config: EditConfig) -> dict[str, float]:
    """Resident MiB of a process after the first tenth of so many demo edits, and after all of them."""
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(checkpoint_path())
    image = Image.effect_noise((pipe.size * 2, pipe.size * 2), 60).convert("RGB")
    found = {}
    for number in range(1, edits + 1):
        mask = Image.new("L", image.size)
        left = 4 + number % (pipe.size // 2)
        mask.paste(255, (left, left, left + pipe.size // 2, left + pipe.size // 2))
        pipe(image, [mask], "a room", "a red room", [Region(words=("red",))], config)
        if number in {edits // 10, edits}:
            found[str(number)] = resident_mib()
    return found


def main() -> None:
    """Print the table and the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--steps", type=int, default=2, help="few: the peak does not depend on them")
    parser.add_argument("--edits", type=int, default=0, help="also watch a process over so many demo edits")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    config = EditConfig(steps=asked.steps, max_iterations=2)
    pipe = sd_pipeline(getattr(torch, asked.dtype))
    figures: dict[str, Any] = {
        name: sum(t.untyped_storage().nbytes() for t in part) / MIB for name, part in weights(pipe).items()
    }
    figures["default"] = peaks(pipe, config)
    pipe.unet.enable_gradient_checkpointing()
    figures["gradient checkpointing"] = peaks(pipe, config)
    table = Table("", *figures["default"], title=f"peak MiB of an edit at {pipe.size} px, {asked.dtype}")
    for name in ("default", "gradient checkpointing"):
        table.add_row(name, *(f"{value:.0f}" for value in figures[name].values()))
    console = Console(width=120)
    console.print(table)
    if asked.edits:
        del pipe
        figures["resident after edits"] = growth(asked.edits, EditConfig(steps=4, max_iterations=2))
    console.print_json(json.dumps(figures))


if __name__ == "__main__":
    main()
