from dataclasses import replace
from typing import Any, cast

import pytest

from magedit.demo.edits import COMPLEXITIES, EDIT_KINDS, Complexity, EditKind
from magedit.demo.scene import PLACES
from magedit.demo.sets import edit_set, sample_edits
from tests.magedit.demo.test_edits import check_edit


@pytest.mark.parametrize("complexity", COMPLEXITIES)
@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_sampled_edits_change_only_their_mask(kind: EditKind, complexity: Complexity) -> None:
    edits = list(sample_edits(kind, 12, complexity=complexity))
    assert edits == list(sample_edits(kind, 12, complexity=complexity))
    assert {(edit.kind, edit.complexity) for edit in edits} == {(kind, complexity)}
    for edit in edits:
        check_edit(edit, 128)
        assert bool(edit.words) == (kind != "removal")


def test_plain_edits_have_one_thing_that_the_prompt_can_mean() -> None:
    for kind in ("colour", "part", "pattern"):
        for edit in sample_edits(kind, 8):
            (thing,) = edit.vanishing
            others = [other for other in edit.source.things if other != thing]
            assert not [other for other in others if other.kind == thing.kind or other.colour == thing.colour]
            assert all(other.kind in edit.source_prompt for other in others)


def test_complex_edits_have_a_twin_or_something_else_of_their_colour() -> None:
    with_places = {kind for kinds, _ in PLACES for kind in kinds}
    for kind in EDIT_KINDS:
        for edit in sample_edits(kind, 8, complexity="complex"):
            thing = (edit.vanishing or edit.appearing)[0]
            others = [other for other in edit.source.things if other != thing]
            twins = [other for other in others if replace(other, x=thing.x, y=thing.y, side=thing.side) == thing]
            assert twins or thing.kind not in with_places, edit.name
            assert twins or any(other.colour == thing.colour for other in others), edit.name
            assert len({(other.kind, other.x, other.y) for other in edit.source.things}) == len(edit.source.things)


def test_a_set_holds_each_kind_in_each_complexity() -> None:
    edits = edit_set(2, seed=1)
    assert len(edits) == len({edit.name for edit in edits}) == 2 * len(EDIT_KINDS) * len(COMPLEXITIES)


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="use one of colour"):
        list(sample_edits(cast("Any", "haircut"), 1))
    with pytest.raises(ValueError, match="use one of plain"):
        list(sample_edits("colour", 1, complexity=cast("Any", "hard")))
