"""The benchmark of reading prompts."""

from __future__ import annotations

from collections import Counter

from benchmarks.prompts import SPLITS, costs, read_pairs, shares


def test_the_pairs_cover_all_kinds_in_disjoint_splits() -> None:
    pairs = read_pairs()
    assert len({(pair.reading.source, pair.reading.target) for pair in pairs}) == len(pairs)
    for split in SPLITS:
        kinds = Counter(pair.kind for pair in pairs if pair.split == split)
        assert set(kinds) == {"attribute", "replacement", "addition", "removal"}
    assert sum(pair.split != "reported" for pair in pairs) >= 150


def test_shares_and_costs_are_measured() -> None:
    pairs = read_pairs(["reported"])
    found = shares(pairs)
    assert found["both"] <= min(found["kind"], found["words"])
    measured = costs(pairs[:2])
    assert all(value > 0 for value in measured.values())
