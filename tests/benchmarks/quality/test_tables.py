"""Means over edits, by group."""

import pytest

from benchmarks.quality.run import KIND_OF
from benchmarks.quality.tables import ATTRIBUTES, summary
from magedit.demo.edits import EDIT_KINDS


def test_attributes_are_what_is_no_other_kind() -> None:
    assert tuple(kind for kind in EDIT_KINDS if kind not in KIND_OF) == ATTRIBUTES


def test_means_are_over_the_edits_of_a_group() -> None:
    figures = [
        {"row": "p2p", "edit": f"plain-colour-{index}", "twin": index > 1, "success": success}
        for index, success in enumerate((1.0, 0.0, 0.0, 1.0, 1.0))
    ]
    groups = summary(figures)["plain"]
    assert {group: (rows["p2p"]["edits"], rows["p2p"]["success"]) for group, rows in groups.items()} == {
        "colour": (5, 0.6),
        "attribute": (5, 0.6),
        "all": (5, 0.6),
        "twin": (3, pytest.approx(2 / 3, abs=1e-4)),
    }
