"""Parameters of single inversions."""

from __future__ import annotations

from magedit.config import EditConfig


def test_the_first_steps_of_style_learn_most() -> None:
    updates = [EditConfig(style_iterations=10).style_updates(i) for i in range(50)]
    assert (updates[0], updates[10], updates[49]) == (10, 4, 1)
    assert updates == sorted(updates, reverse=True)
