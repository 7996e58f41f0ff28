"""The alignment of two prompts' noun phrases."""

from __future__ import annotations

import pytest

from magedit.prompts.pairing import pair
from magedit.prompts.phrases import Unit, parse


def paired(source: str, target: str) -> list[tuple[str, str]]:
    def text(unit: Unit | None) -> str:
        return " ".join(unit.words) if unit else ""

    return [(text(old), text(new)) for old, new in pair(parse(source).units, parse(target).units)]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("a lamp and a sofa", "a plant and a sofa", [("a lamp", "a plant"), ("and", "and"), ("a sofa", "a sofa")]),
        ("a sofa", "a sofa, a lamp", [("a sofa", "a sofa"), ("", ","), ("", "a lamp")]),
        ("a red sofa", "a blue sofa", [("a red sofa", "a blue sofa")]),
    ],
)
def test_units_are_paired_in_order(source: str, target: str, expected: list[tuple[str, str]]) -> None:
    assert paired(source, target) == expected


def test_every_unit_is_in_one_pair() -> None:
    source, target = parse("two dogs on a red rug in a room"), parse("a cat with a hat lying on a rug")
    pairs = pair(source.units, target.units)
    assert [old for old, _ in pairs if old] == list(source.units)
    assert [new for _, new in pairs if new] == list(target.units)
