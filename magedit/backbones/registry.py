"""Loads a checkpoint as the backbone of its family."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from magedit.backbones.base import Backbone
from magedit.backbones.inspect import CheckpointInfo
from magedit.backbones.loading import naming, prepare
from magedit.backbones.single_file.loader import load_parts
from magedit.backbones.stable_diffusion.backbone import StableDiffusion
from magedit.errors import CheckpointError


def load_backbone(checkpoint: str | Path | CheckpointInfo, **options: Any) -> Backbone:
    """Load a folder, hub id or single file (``.safetensors``, ``.ckpt``); its configs are read first.

    Args:
        checkpoint: what to load; `CheckpointInfo` where it was inspected before, with the same options.
        options: as diffusers takes them; ``vae`` may also be a folder, hub id or file, ``safety_checker=None`` leaves
            the checkpoint's own out, and ``variant`` is "fp16" by itself where no other files are there.

    Raises:
        CheckpointError: it cannot be edited with; says in one sentence what it is and what to do.
    """
    found, options = prepare(checkpoint, options)
    if found.family == "instruct-pix2pix":
        raise CheckpointError(f"{found.sentence}: load it with InstructPipeline")
    if found.layout == "file":
        parts = load_parts(found, options["dtype"])
        own = {name: value for name, value in options.items() if name in inspect.signature(StableDiffusion).parameters}
        return StableDiffusion(**(parts | own))
    with naming(found):
        backbone: Backbone = StableDiffusion.from_pretrained(found.name, **options)
    return backbone
