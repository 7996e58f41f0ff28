"""The training set as latents: computed once, kept in shards, normalized."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
import torch.distributed as dist
from diffusers import AutoencoderKL
from torch import Tensor, nn

from magedit.demo.scene import Scene
from recipes.stages.vae import normalize_latents, pixels
from recipes.training.loop import Run, save_atomically

SHARD: Final = 1000
"""Latents per file, the most that a kill loses."""
ENCODED_AT_ONCE: Final = 8
"""Pictures per pass of the encoder."""
MEASURED: Final = 256
"""Pictures from which the latents' mean and deviation are measured."""

Rooms = Callable[[int], Scene]
"""The room of the training set at an index."""


def wait(run: Run) -> None:
    """Wait for every process of the run."""
    if run.processes > 1:
        dist.barrier()


@torch.no_grad()
def _means(vae: AutoencoderKL, rooms: Rooms, indices: range, size: int, bfloat16: bool = False) -> Tensor:
    device = next(vae.parameters()).device
    means = []
    for start in indices[::ENCODED_AT_ONCE]:
        batch = range(start, min(start + ENCODED_AT_ONCE, indices.stop))
        pictures = pixels([rooms(index) for index in batch], size).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            means.append(vae.encode(pictures).latent_dist.mean.float().cpu())
    return torch.cat(means)


def normalized(vae: AutoencoderKL, rooms: Rooms, size: int, scale: float = 1.0, shift: float = 0.0) -> AutoencoderKL:
    """The VAE with latents of unit deviation behind this scale and shift; see `normalize_latents`."""
    normalize_latents(vae, _means(vae, rooms, range(MEASURED), size), scale, shift)
    return vae


def encode_shard(
    vae: AutoencoderKL, rooms: Rooms, pictures: int, size: int, number: int, folder: Path, *, bfloat16: bool = False
) -> Tensor:
    """Latents of one shard of the training set, from its file or made and stored: unit deviation, float16.

    `pictures` is the whole set's length; the last shard may be shorter. `bfloat16`: how the encoder computes.
    """
    path = folder / f"latents-{number:03d}.pt"
    if path.exists():
        kept: Tensor = torch.load(path, weights_only=True)
        return kept
    means = _means(vae, rooms, range(number * SHARD, min(pictures, (number + 1) * SHARD)), size, bfloat16)
    latents: Tensor = ((means - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor).half()
    save_atomically(latents, path)
    return latents


def _fingerprint(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def make_latents(
    vae: AutoencoderKL, rooms: Rooms, pictures: int, size: int, run: Run, *, bfloat16: bool = False
) -> Tensor:
    """The training set's latents: (pictures, c, h, w), float16; the processes share the shards out."""
    # latents depend on the VAE's training, rooms on the seed
    folder = run.state / f"latents-{run.seed}-{_fingerprint(vae)}"
    shards = range(-(-pictures // SHARD))
    for number in shards[run.rank :: run.processes]:
        encode_shard(vae, rooms, pictures, size, number, folder, bfloat16=bfloat16)
    wait(run)
    kept = [encode_shard(vae, rooms, pictures, size, number, folder, bfloat16=bfloat16) for number in shards]
    return torch.cat(kept)[:pictures]
