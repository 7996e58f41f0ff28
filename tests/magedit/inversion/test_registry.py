"""The cards of inversions."""

from __future__ import annotations

from typing import get_args

import pytest

from magedit.config import EditConfig, InversionName
from magedit.inversion.registry import INVERSIONS, inversion_settings


def test_every_name_has_its_card() -> None:
    assert [card.name for card in INVERSIONS.values()] == list(get_args(InversionName))


@pytest.mark.parametrize(
    ("inversion", "names"),
    [
        ("direct", set()),
        ("null-text", {"guidance_scale", "null_text_iterations", "null_text_learning_rate", "null_text_tolerance"}),
        ("style", {"guidance_scale", "style_iterations"}),
        ("proximal", set()),
        ("virtual", set()),
    ],
)
def test_an_inversion_depends_on_the_parameters_it_reads(inversion: InversionName, names: set[str]) -> None:
    settings = inversion_settings(EditConfig(inversion=inversion))
    assert set(settings) == {"steps", "inversion", "lora", "clip_skip"} | names
