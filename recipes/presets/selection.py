"""Presets chosen by name, and changed by a command's options. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import typer

from recipes.presets.parameters import FlowPreset, Preset, SegmenterPreset

AnyPreset = TypeVar("AnyPreset", Preset, FlowPreset, SegmenterPreset)


def preset_of(presets: Mapping[str, AnyPreset], name: str, seed: int | None = None) -> AnyPreset:
    """The preset ``name``, with ``seed`` in place of its own if given. Raises typer.BadParameter."""
    if name not in presets:
        raise typer.BadParameter(f"preset {name!r} is unknown: use one of {', '.join(presets)}")
    return presets[name] if seed is None else replace(presets[name], seed=seed)


def with_samples(preset: AnyPreset, stage: str, samples: int | None) -> AnyPreset:
    """The preset with this number of samples in its stage ``stage``; None: unchanged."""
    if samples is None:
        return preset
    recipe = getattr(preset, stage)
    return replace(preset, **{stage: replace(recipe, schedule=replace(recipe.schedule, samples=samples))})


def gentler(preset: AnyPreset, stage: str, share: float | None) -> AnyPreset:
    """The preset with the share ``share`` (0..1) of the stage's learning rates, which fall from the start; None:
    unchanged."""
    if share is None:
        return preset
    recipe = getattr(preset, stage)
    full = recipe.schedule
    schedule = replace(full, muon=share * full.muon, adam=share * full.adam, decay=1.0)
    return replace(preset, **{stage: replace(recipe, schedule=schedule)})
