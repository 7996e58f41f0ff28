"""Loading of an inspected checkpoint through diffusers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.utils import logging
from safetensors import SafetensorError

from magedit.backbones.checkpoints.inspect import CheckpointInfo, inspect, latent_side
from magedit.backbones.checkpoints.single_file.loader import load_vae_file
from magedit.errors import CheckpointError


def prepare(checkpoint: str | Path | CheckpointInfo, options: dict[str, Any]) -> tuple[CheckpointInfo, dict[str, Any]]:
    """The facts about a checkpoint, and matching ``options`` for `DiffusionPipeline.from_pretrained`.

    ``checkpoint`` may have been inspected already. ``vae`` may be a folder, hub id or file, and is loaded.

    Raises:
        CheckpointError: it is not supported, or its VAE cannot be loaded.
    """
    options = dict(options)
    found = (
        checkpoint
        if isinstance(checkpoint, CheckpointInfo)
        else inspect(
            checkpoint,
            variant=options.get("variant"),
            revision=options.get("revision"),
            own_vae=options.get("vae") is None,
        )
    )
    found.require_supported()
    if found.variant is not None:
        options["variant"] = found.variant
    dtype = options.setdefault("dtype", torch.float32)
    if isinstance(options.get("vae"), str | Path):
        options["vae"] = load_vae(str(options["vae"]), dtype, found)
    elif "vae" in options and options["vae"] is None:
        del options["vae"]
    return found, options


@contextmanager
def naming(found: CheckpointInfo) -> Iterator[None]:
    """Convert errors of diffusers and transformers while loading ``found`` into one CheckpointError that names it."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CheckpointError(f"{found.sentence}, but it cannot be loaded: {reason}") from error


def load_vae(name: str, dtype: torch.dtype, checkpoint: CheckpointInfo) -> AutoencoderKL:
    """Load a separate VAE for ``checkpoint``: a folder or hub id (of a VAE or a whole checkpoint), or a single file.

    Raises:
        CheckpointError: it cannot be loaded, or is of another kind.
    """
    path = Path(name).expanduser()
    try:
        if path.is_file():
            return load_vae_file(path, dtype, checkpoint)
        if path.is_dir():
            return _vae_of(str(path), "vae" if (path / "vae").is_dir() else None, dtype)
        try:
            return _vae_of(name, None, dtype)
        except OSError:  # no VAE at the top of that repository
            return _vae_of(name, "vae", dtype)
    except (OSError, ValueError, RuntimeError, KeyError, UnpicklingError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"the VAE {name!r} cannot be loaded: {reason}", field="vae") from error


def _vae_of(name: str, subfolder: str | None, dtype: torch.dtype) -> AutoencoderKL:
    """Load its weights; the variant fp16 if there are no others."""
    try:
        return AutoencoderKL.from_pretrained(name, subfolder=subfolder, torch_dtype=dtype)
    except OSError:
        return AutoencoderKL.from_pretrained(name, subfolder=subfolder, torch_dtype=dtype, variant="fp16")


def correct_size(unet: UNet2DConditionModel, vae: AutoencoderKL) -> None:
    """Set the size in a UNet's config to its training size (`magedit.backbones.checkpoints.inspect.latent_side`)."""
    side = latent_side(unet.config, vae.config)
    if side != unet.config.sample_size:
        logging.get_logger(__name__).info("sample_size %s is read as %s", unet.config.sample_size, side)
        unet.register_to_config(sample_size=side)
