"""Guided steps and their updates."""

from __future__ import annotations

import pytest

from magedit.config import EditConfig


@pytest.mark.parametrize("config", [EditConfig(method="p2p"), EditConfig(strength=0.0), EditConfig(max_iterations=0)])
def test_without_guidance_nothing_is_guided_but_measured_all_the_same(config: EditConfig) -> None:
    assert (config.guided_steps, config.iterations) == (0, 0)
    assert config.measured_steps == 25


def test_guidance_may_begin_later() -> None:
    later = EditConfig(guided_from=0.04)
    assert (later.guided_from_step, later.guided_steps, later.measured_steps) == (2, 23, 25)
    assert EditConfig(guided_from=0.04, steps=20).guided_from_step == 0
    assert EditConfig(guided_from=0.9).guided_steps == 0
    assert not EditConfig(guided_from=0.9).is_guided


def test_strength_is_shared_between_scale_and_iterations() -> None:
    assert EditConfig(strength=0.25, max_iterations=16).iterations == 2
    assert EditConfig(strength=0.001, max_iterations=2).iterations == 1
