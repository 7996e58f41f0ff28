"""The outcome of resolving: every problem, the planned cost, the edit."""

from __future__ import annotations

import pytest

from magedit.edits.resolution import Limits
from magedit.errors import PromptNotSupported, RegionMismatch
from magedit.measures.passes import Passes
from tests.magedit.edits.conftest import resolved


def test_all_problems_are_listed_and_the_rest_is_resolved() -> None:
    found = resolved(target_prompt="a zebra with a purple carpet", words=["lion"], equalizer={"tiger": 2}, eta=0.5)
    assert [(type(each).__name__, each.field) for each in found.problems] == [
        ("PromptNotSupported", "target_prompt"),
        ("WordNotFound", "words"),
        ("WordNotFound", "equalizer"),
    ]
    assert found.unknown["target_prompt"] == ("zebra",)
    assert found.tokens == {"source_prompt": 6, "target_prompt": 6, "negative_prompt": 0}
    assert found.configs[0].eta == 0.5
    assert found.passes.work > 0
    with pytest.raises(PromptNotSupported):
        found.edit()


def test_the_cost_of_a_comparison_is_that_of_its_methods() -> None:
    alone = [resolved(method=method).passes for method in ("p2p", "diffedit")]
    together = resolved(compare=["p2p", "diffedit"])
    assert together.passes == sum(alone, Passes())
    assert not together.is_guided
    assert resolved(compare=["mag-edit", "p2p"]).is_guided


def test_regions_are_limited() -> None:
    limits = Limits(results=1, regions=2)
    limits.check_regions(2)
    with pytest.raises(RegionMismatch, match="3 masks; at most 2 regions"):
        limits.check_regions(3)
