"""Facts about a checkpoint that resolving an edit needs."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magedit.card import STABLE_DIFFUSION, Trait
from magedit.config import GuidanceParameters, InversionName, MethodName
from magedit.prompts.alignment import Tokenize

PAPER_SCALE = 2.5
"""Guidance step size of the paper (4.1), for checkpoints that do not define one."""


@dataclass(frozen=True, kw_only=True)
class StepSizes:
    """The checkpoint's guidance step sizes for the token ratio and the spatial ratio."""

    token: float = PAPER_SCALE
    spatial: float = PAPER_SCALE

    def step_size(self, config: GuidanceParameters) -> float:
        """The step size at full strength: the configuration's, else the checkpoint's."""
        if config.guidance_step_size is not None:
            return config.guidance_step_size
        return self.spatial if config.constraint == "spatial" else self.token


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """``max_tokens`` includes the start and end tokens; ``vocabulary`` None: any word; ``step_sizes`` None: unknown.

    ``loras`` are the names that it offers. ``defaults`` overrides defaults of `EditConfig`; entries under a method's
    name apply to that method only.
    """

    name: str
    methods: tuple[MethodName, ...]
    inversions: tuple[InversionName, ...]
    tokenize: Tokenize
    max_tokens: int
    vocabulary: Collection[str] | None = None
    step_sizes: StepSizes | None = None
    traits: tuple[Trait, ...] = STABLE_DIFFUSION
    defaults: Mapping[str, Any] = field(default_factory=dict)
    loras: Collection[str] = ()
    max_clip_skip: int = 0


def closed_vocabulary(checkpoint: str | Path) -> tuple[str, ...] | None:
    """The closed vocabulary of a checkpoint (its `vocabulary.json`: kind -> words); None without one."""
    file = Path(checkpoint) / "vocabulary.json"
    if not file.is_file():
        return None
    return tuple(word for words in json.loads(file.read_text()).values() for word in words)
