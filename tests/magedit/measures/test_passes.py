"""Passes add up and weigh."""

from __future__ import annotations

import pytest

from magedit.measures.passes import BACKWARD_COST, TRUNCATED_COST, Passes


def test_passes_add_up_and_weigh_by_their_kind() -> None:
    total = Passes(forward=3, truncated=2) + Passes(truncated=2, backward=1)
    assert total == Passes(forward=3, truncated=4, backward=1)
    assert total.work == pytest.approx(3 + 4 * TRUNCATED_COST + BACKWARD_COST)
