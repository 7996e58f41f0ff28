"""Steps blended with the source outside the mask."""

from __future__ import annotations

from magedit.config import EditConfig


def test_the_last_steps_are_blended() -> None:
    starts = [EditConfig(steps=10, blend_fraction=share).blend_from for share in (0.0, 0.26, 1.0)]
    assert starts == [10, 7, 0]
