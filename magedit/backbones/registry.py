"""Registry of families, and loading of a checkpoint as its family's backbone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from magedit.backbones.base import Backbone
from magedit.backbones.checkpoints.family import Family
from magedit.backbones.checkpoints.inspect import CheckpointInfo
from magedit.backbones.checkpoints.single_file.loader import load_parts
from magedit.backbones.loading import naming, prepare
from magedit.errors import CheckpointError


def _adapter(folder: str, name: str) -> Callable[[], Any]:
    return lambda: getattr(import_module(f"magedit.backbones.{folder}.backbone"), name)


_UNET = _adapter("stable_diffusion", "StableDiffusion")

ADAPTERS: Mapping[Family, Callable[[], Any]] = {
    "sd1": _UNET,
    "sd2": _UNET,
    "sd": _UNET,
    "lcm": _UNET,
    "turbo": _UNET,
    "sdxl": _adapter("sdxl", "StableDiffusionXL"),
    "sd3": _adapter("sd3", "StableDiffusion3"),
    "flux": _adapter("flux", "Flux"),
}
"""Family -> its `Backbone` class, loaded by diffusers; imported on demand."""


def load_backbone(checkpoint: str | Path | CheckpointInfo, **options: Any) -> Backbone:
    """Load a folder, hub id or single file (``.safetensors``, ``.ckpt``); its configs are read first.

    Args:
        checkpoint: the checkpoint to load, or its `CheckpointInfo` from an earlier inspection with the same options.
        options: as diffusers takes them; ``vae`` may also be a folder, hub id or file, ``safety_checker=None`` leaves
            the checkpoint's own out, and ``variant`` is "fp16" by itself where no other files are there.

    Raises:
        CheckpointError: it is not supported; names its kind and the cure.
    """
    found, options = prepare(checkpoint, options)
    if found.family == "instruct-pix2pix":
        raise CheckpointError(f"{found.sentence}: load it with InstructPipeline")
    adapter = ADAPTERS[found.family]()
    if found.layout == "file":
        parts = load_parts(found, options["dtype"])
        own = {name: value for name, value in options.items() if name in inspect.signature(adapter).parameters}
        backbone: Backbone = adapter(**(parts | own))
    else:
        if "safety_checker" not in inspect.signature(adapter).parameters:
            options.pop("safety_checker", None)
        options |= dict.fromkeys(found.left_out)
        with naming(found):
            backbone = adapter.from_pretrained(found.name, **options)
    return backbone
