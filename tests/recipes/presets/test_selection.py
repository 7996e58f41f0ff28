"""Presets chosen and changed by a command's options."""

from __future__ import annotations

import pytest
import typer

from recipes.presets.flow import FLOW_PRESETS
from recipes.presets.segmenter import SEGMENTER_PRESETS
from recipes.presets.selection import gentler, preset_of, with_samples
from recipes.presets.stable_diffusion import PRESETS


def test_an_unknown_preset_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(typer.BadParameter, match="'none' is unknown: use one of cpu-128, "):
        preset_of(PRESETS, "none")
    with pytest.raises(typer.BadParameter, match="'none' is unknown: use one of flow-256, "):
        preset_of(FLOW_PRESETS, "none")
    with pytest.raises(typer.BadParameter, match="'none' is unknown: use one of segmenter-128"):
        preset_of(SEGMENTER_PRESETS, "none")


def test_one_stage_is_changed_and_the_others_stay() -> None:
    preset = preset_of(PRESETS, "cpu-128", seed=7)
    assert (preset.seed, preset_of(PRESETS, "cpu-128").seed) == (7, PRESETS["cpu-128"].seed)
    changed = gentler(with_samples(preset, "unet", 100), "unet", 0.5)
    assert changed.unet.schedule.samples == 100
    assert changed.unet.schedule.adam == preset.unet.schedule.adam / 2
    assert changed.unet.schedule.muon == preset.unet.schedule.muon / 2
    assert changed.unet.schedule.decay == 1.0
    assert (changed.text, changed.vae) == (preset.text, preset.vae)
    assert with_samples(preset, "vae", None) == gentler(preset, "unet", None) == preset
