"""The parameters: bounds, defaults and step windows."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import typing

import pytest
from pydantic import TypeAdapter, ValidationError
from typing_extensions import Doc

from magedit.config import GOVERNED, PRESETS, SEED_MAX, EditConfig, Region


def test_the_defaults_are_the_papers_step_windows() -> None:
    config = EditConfig()
    assert (config.guided_steps, config.iterations, config.self_replace_until, config.blend_from) == (25, 15, 25, 35)
    assert config.cross_replace_until(config.cross_replace) == 40


def test_given_parameters_win_over_the_preset() -> None:
    assert EditConfig.preset("balanced") == EditConfig()
    assert EditConfig.preset("fast", steps=30).steps == 30
    assert EditConfig.preset("exact").inversion == "null-text"
    assert {name for values in PRESETS.values() for name in values} == GOVERNED
    for name in GOVERNED:
        assert len({getattr(EditConfig.preset(preset), name) for preset in PRESETS}) > 1


def test_the_fast_preset_pushes_as_far_in_fewer_steps() -> None:
    configs = EditConfig.preset("balanced"), EditConfig.preset("fast")
    balanced, fast = (config.guided_steps * config.iterations for config in configs)
    assert abs(fast / balanced - 1) < 0.02


def test_results_are_seeds_by_strengths() -> None:
    config = EditConfig(n=2, sweep=(0.0, 0.5, 1.0), seed=SEED_MAX, steps=9)
    assert config.results == len(config.variants) == 6
    assert [(each.seed, each.strength) for each in config.variants] == [
        (seed, strength) for seed in (SEED_MAX, 0) for strength in (0.0, 0.5, 1.0)
    ]
    assert all((each.results, each.steps, each.variants) == (1, 9, (each,)) for each in config.variants)
    assert EditConfig(n=2, strength=0.3).variants[1] == EditConfig(seed=1, strength=0.3)


@pytest.mark.parametrize(
    ("field", "value"), [("steps", 1), ("steps", 251), ("strength", 1.1), ("guidance_scale", 0.5), ("seed", -1)]
)
def test_values_out_of_bounds_are_refused_wherever_the_config_is_read(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        TypeAdapter(EditConfig).validate_python({field: value})


@pytest.mark.parametrize("kind", [EditConfig, Region])
def test_every_field_is_documented(kind: type) -> None:
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        docs = [meta for meta in getattr(hints[field.name], "__metadata__", ()) if isinstance(meta, Doc)]
        assert docs, field.name


def test_configuration_loads_without_torch() -> None:
    code = (
        "import sys, magedit, magedit.config, magedit.errors, magedit.measures.report, magedit.prompts.alignment, "
        "magedit.images.masks, magedit.images.heatmap; "
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
