import random

import pytest

from magedit.demo.edits import EDIT_KINDS
from magedit.demo.instructions import FORMS, instruction, undone
from magedit.demo.sets import sample_edits
from magedit.demo.vocabulary import INSTRUCTIONS, check_prompt


@pytest.mark.parametrize("kind", EDIT_KINDS)
@pytest.mark.parametrize("is_undone", [False, True])
def test_instructions_stay_within_the_vocabulary(kind: str, is_undone: bool) -> None:
    for edit in sample_edits(kind, 12, seed=5):  # type: ignore[arg-type]
        done = undone(edit) if is_undone else edit
        drawn = [instruction(done, random.Random(seed), short=0.5) for seed in range(8)]
        for told in (instruction(done), *drawn):
            check_prompt(told, INSTRUCTIONS)
        (new,) = done.appearing or (None,)
        (old,) = done.vanishing or (None,)
        told = instruction(done)
        if old and new and kind != "replacement":
            changed = new.colour if new.colour != old.colour else new.pattern
            assert told.endswith(f" {changed}")
            assert str(old.colour) in told
        if new and new.kind != (old.kind if old else None):
            assert new.kind in told
        if old and not (old.kind == "plant" and kind == "part"):
            assert old.kind in told


def test_every_form_is_drawn() -> None:
    (edit,) = sample_edits("colour", 1)
    forms = {instruction(edit, random.Random(seed)).split()[0] for seed in range(20)}
    assert forms == {form.split()[0] for form in FORMS["quality"]}


def test_undoing_twice_restores_the_edit() -> None:
    (edit,) = sample_edits("addition", 1)
    back = undone(edit)
    assert (back.kind, back.source, back.target) == ("removal", edit.target, edit.source)
    again = undone(back)
    assert (again.kind, again.source, again.target) == (edit.kind, edit.source, edit.target)
