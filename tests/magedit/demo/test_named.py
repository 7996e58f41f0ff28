import pytest

from magedit.demo.edits import DemoEdit
from magedit.demo.named import DEMO_EDITS, demo_edit


@pytest.mark.parametrize("name", sorted(DEMO_EDITS))
def test_named_edits_are_made_anew_and_equal(name: str) -> None:
    edit = demo_edit(name)
    assert isinstance(edit, DemoEdit)
    assert (edit, edit.name) == (demo_edit(name), name)


def test_the_default_is_complex() -> None:
    edit = demo_edit()
    pictures = [thing for thing in edit.source.things if thing.kind == "picture"]
    assert (edit.complexity, len(pictures)) == ("complex", 2)
    assert pictures[0].colour == pictures[1].colour


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="use one of carpet"):
        demo_edit("piano")
