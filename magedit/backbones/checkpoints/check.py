"""A checkpoint's family, supported methods and memory, from its configs alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from magedit.backbones.base import AttentionSite
from magedit.backbones.checkpoints.inspect import CheckpointInfo, inspect
from magedit.backbones.memory.estimate import Memory, count
from magedit.backbones.memory.weightless import Weightless, weightless
from magedit.backbones.registry import ADAPTERS
from magedit.config import InversionName, MethodName
from magedit.errors import CheckpointError
from magedit.methods.compatibility import suited_inversions, suited_methods, unsuited

DTYPES = ("float32", "bfloat16", "float16")
"""Number formats of a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a checkpoint supports and how much memory it takes. ``picture`` and ``latent`` are sides in px and in latent
    cells, ``parameters`` counts them by part, ``unsuited`` gives the reason per unsuitable method."""

    picture: int
    latent: int
    max_tokens: int
    parameters: Mapping[str, int]
    sites: tuple[AttentionSite, ...]
    guidance_sites: tuple[AttentionSite, ...]
    methods: tuple[MethodName, ...]
    inversions: tuple[InversionName, ...]
    unsuited: Mapping[str, str]
    memory: Memory


def check(
    checkpoint: str | Path,
    *,
    dtype: str = "bfloat16",
    variant: str | None = None,
    revision: str | None = None,
) -> tuple[CheckpointInfo, Fit | None]:
    """The facts about a folder, hub id or single file; None: its family has no adapter.

    For a checkpoint on the hub, only the configs are downloaded. Arguments and errors as
    `magedit.backbones.checkpoints.inspect.inspect`; ``dtype`` is the number format assumed for memory, one of `DTYPES`.
    """
    import torch

    found = inspect(checkpoint, variant=variant, revision=revision)
    if found.family not in ADAPTERS:
        return found, None
    try:
        return found, _fit(weightless(found, getattr(torch, dtype)), dtype)
    except CheckpointError:
        if found.is_supported:
            raise
        return found, None


def _fit(empty: Weightless, dtype: str) -> Fit:
    backbone = empty.backbone
    traits = backbone.traits
    return Fit(
        picture=backbone.size,
        latent=backbone.latent_side,
        max_tokens=backbone.max_tokens,
        parameters={name: sum(each.numel() for each in part.parameters()) for name, part in empty.modules.items()},
        sites=backbone.sites,
        guidance_sites=backbone.guidance_sites,
        methods=suited_methods(traits),
        inversions=suited_inversions(traits, dtype=dtype),
        unsuited=unsuited(traits),
        memory=count(empty),
    )


__all__ = ["DTYPES", "Fit", "check"]
