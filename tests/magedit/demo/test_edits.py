import random

import numpy as np
import pytest

from magedit.demo.edits import EDIT_KINDS, Complexity, DemoEdit, EditKind, Told, in_room, recolour, remove
from magedit.demo.named import DEMO_EDITS, demo_edit
from magedit.demo.scene import sample_scene
from magedit.demo.sets import sample_edits
from magedit.demo.vocabulary import check_prompt


def check_edit(edit: DemoEdit, size: int) -> None:
    """What holds of every edit: the truth changes the mask alone, and the prompts are the demo's language."""
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
def test_named_edits_change_only_their_mask(name: str, size: int) -> None:
    check_edit(demo_edit(name), size)


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_appearing_and_vanishing_things(kind: EditKind) -> None:
    for edit in sample_edits(kind, 6):
        assert (len(edit.vanishing), len(edit.appearing)) == {"addition": (0, 1), "removal": (1, 0)}.get(kind, (1, 1))


def test_the_mask_of_a_recoloured_lamp_is_its_shade() -> None:
    edit = demo_edit("lamp")
    mask = np.asarray(edit.mask())
    rows = np.flatnonzero(mask.any(axis=1))
    lamp = edit.source.find("lamp")
    assert rows.max() < lamp.y - 40  # the stand is left alone


def test_prompts_may_name_a_part_of_the_room() -> None:
    rng = random.Random(3)
    scene = next(room for room in (sample_scene(rng) for _ in range(99)) if any(t.kind == "sofa" for t in room.things))
    sofa = scene.find("sofa")
    told = Told.of(scene, (sofa,), rng)
    edit = recolour("sofa", told, sofa, "white" if sofa.colour != "white" else "black")
    assert len(told.caption.mentions) == 1
    assert len(edit.source.things) == len(scene.things)
    check_edit(edit, 128)


def test_a_removal_names_the_thing_only_in_the_source_prompt() -> None:
    rng = random.Random(1)
    scene = next(room for room in (sample_scene(rng) for _ in range(99)) if any(t.kind == "ball" for t in room.things))
    ball = scene.find("ball")
    bare = scene.with_things(thing for thing in scene.things if thing != ball)
    edit = remove("ball", Told.of(bare, bare.things, rng), ball)
    assert f"{ball.colour} ball" in edit.source_prompt
    assert "ball" not in edit.target_prompt
    check_edit(edit, 128)


@pytest.mark.parametrize("complexity", ["plain", "complex"])
def test_a_removal_can_name_its_filling(complexity: Complexity) -> None:
    for edit in sample_edits("removal", 4, 0, complexity):
        named = in_room(edit)
        check_edit(named, 64)
        assert named.target_prompt.startswith(f"a {edit.source.wall} room with a {edit.source.floor} floor, ")
        assert len(named.words) == 1
        assert named.image().tobytes() == edit.image().tobytes()
    with pytest.raises(ValueError, match="not a removal"):
        in_room(demo_edit("carpet"))
