"""Means over edits, by group."""

import pytest

from benchmarks.quality.intervals import wilson
from benchmarks.quality.run import KIND_OF
from benchmarks.quality.tables import ATTRIBUTES, markdown, regressions, summary
from magedit.demo.edits import EDIT_KINDS


def test_attributes_are_the_kinds_without_a_group_of_their_own() -> None:
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


def test_wilsons_interval() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    published = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (successes, number), bounds in published.items():
        assert wilson(successes, number) == pytest.approx(bounds, abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def rows(complexity: str, kind: str, **successes: str) -> list[dict[str, object]]:
    """Edits of a kind: "1101" of a row's successes."""
    names = {"guided": "kind", "unguided": "kind, no guidance"}
    return [
        {"row": names[row], "edit": f"{complexity}-{kind}-{index}.5", "twin": False, "success": float(each)}
        for row, told in successes.items()
        for index, each in enumerate(told)
    ]


def test_losses_by_guidance_are_reported_per_kind() -> None:
    figures = [
        *rows("plain", "pattern", guided="1100", unguided="1110"),
        *rows("plain", "part", guided="11", unguided="10"),
    ]
    assert list(regressions(summary(figures))) == [
        "below the unguided edit: plain pattern: kind 2/4, kind, no guidance 3/4",
    ]
    assert list(regressions(summary(rows("complex", "colour", guided="11", unguided="11")))) == []


def test_attributes_and_all_edits_have_an_interval() -> None:
    (head, _, guided, *_) = markdown(summary(rows("plain", "colour", guided="1110", unguided="1000")))
    assert head.startswith("| plain | colour (4) | attribute (4) | all (4) |")
    assert guided.startswith("| kind | 75 | 75 (30-95) | 75 (30-95) |")
