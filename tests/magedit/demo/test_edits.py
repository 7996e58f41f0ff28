import numpy as np
import pytest

from magedit.demo.edits import DEMO_EDITS, EDIT_KINDS, DemoEdit, demo_edit, sample_edits
from magedit.demo.vocabulary import check_prompt


def _check(edit: DemoEdit, size: int) -> None:
    source, truth = np.asarray(edit.image(size)), np.asarray(edit.truth(size))
    mask = np.asarray(edit.mask(size)) > 0
    changed = np.any(source != truth, axis=-1)
    assert changed.any()
    assert not (changed & ~mask).any(), "the truth changes pixels outside the mask"
    assert mask.shape == (size, size)
    check_prompt(edit.source_prompt)
    check_prompt(edit.target_prompt)
    assert edit.source_prompt != edit.target_prompt
    for words in edit.words:
        assert words in edit.target_prompt


@pytest.mark.parametrize("name", sorted(DEMO_EDITS))
@pytest.mark.parametrize("size", [128, 300])
def test_demo_edits_change_their_mask_alone(name: str, size: int) -> None:
    _check(demo_edit(name), size)


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_sampled_edits_change_their_mask_alone(kind: str) -> None:
    edits = list(sample_edits(kind, 12))
    assert edits == list(sample_edits(kind, 12))
    assert [edit.kind for edit in edits] == [kind] * 12
    for edit in edits:
        _check(edit, 128)
        assert bool(edit.words) == (kind != "removal")


def test_the_mask_of_a_recoloured_lamp_is_its_shade() -> None:
    edit = demo_edit("lamp")
    mask = np.asarray(edit.mask())
    rows = np.flatnonzero(mask.any(axis=1))
    lamp = edit.source.find("lamp")
    assert rows.max() < lamp.y - 40  # the stand is left alone


def test_ambiguous_edits_have_two_like_pillows() -> None:
    for edit in sample_edits("ambiguous", 6):
        pillows = [thing for thing in edit.source.things if thing.kind == "pillow"]
        assert len(pillows) == 2
        assert pillows[0].colour == pillows[1].colour


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="use one of carpet"):
        demo_edit("piano")
    with pytest.raises(ValueError, match="use one of colour"):
        list(sample_edits("haircut", 1))
