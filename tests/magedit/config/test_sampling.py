"""Sampling: steps that are left out."""

from __future__ import annotations

from magedit.config import EditConfig


def test_skip_fractions_are_the_papers() -> None:
    assert EditConfig().skipped_steps == 0
    assert EditConfig(method="diffedit").skipped_steps == 25
    assert EditConfig(method="blended-latent").skipped_steps == 12
    assert EditConfig(method="diffedit", skip_fraction=1.0).skipped_steps == 49
