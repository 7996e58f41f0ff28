import random
from dataclasses import replace

import pytest

from magedit.demo.palette import KINDS, MORE_PATTERNS
from magedit.demo.scene import (
    PAINT_ORDER,
    PLACES,
    Scene,
    Thing,
    clashes,
    sample_scene,
    sample_twin_scene,
    sample_varied_scene,
)


def test_scenes_are_the_same_for_a_seed_and_hold_every_class() -> None:
    scenes = [sample_scene(random.Random(seed)) for seed in range(60)]
    assert scenes == [sample_scene(random.Random(seed)) for seed in range(60)]
    assert {thing.kind for scene in scenes for thing in scene.things} == set(KINDS)
    assert all(2 <= len(scene.things) <= 9 and not clashes(scene) for scene in scenes)
    assert all(len(set(scene.things)) == len(scene.things) for scene in scenes)


def test_things_stand_in_painting_order() -> None:
    scene = sample_scene(random.Random(1))
    order = [PAINT_ORDER.index(thing.kind) for thing in scene.with_things(reversed(scene.things)).things]
    assert order == sorted(order)


def test_change_replaces_one_thing() -> None:
    sofa = Thing(kind="sofa", x=64, y=72, colour="blue")
    scene = Scene(wall="cream", floor="grey", things=(sofa,))
    assert scene.change(sofa, replace(sofa, colour="red")).find("sofa").colour == "red"
    assert scene.find("sofa") == sofa


def test_find_lists_the_rooms_things() -> None:
    scene = Scene(wall="cream", floor="grey", things=(Thing(kind="sofa", x=64, y=72, colour="blue"),))
    with pytest.raises(ValueError, match=r"names 0 things.*middle sofa"):
        scene.find("lamp")


def test_varied_rooms_have_more_patterns_and_the_sofa_on_every_side() -> None:
    things = [thing for seed in range(80) for thing in sample_varied_scene(random.Random(seed)).things]
    assert {thing.pattern for thing in things} >= set(MORE_PATTERNS)
    assert {thing.side for thing in things if thing.kind == "sofa"} == {"left", "middle", "right"}


def test_rooms_with_twins_have_two_of_a_class_alike_or_not() -> None:
    alike = []
    for seed in range(60):
        scene = sample_twin_scene(random.Random(seed))
        assert not clashes(scene)
        assert len({(thing.kind, thing.x, thing.y) for thing in scene.things}) == len(scene.things)
        twins = [
            (one, two)
            for one in scene.things
            for two in scene.things
            if one.kind == two.kind and (one.x, one.y) < (two.x, two.y)
        ]
        assert twins
        alike += [(one.kind, (one.colour, one.pattern) == (two.colour, two.pattern)) for one, two in twins]
    assert {kind for kind, _ in alike} == {kind for kinds, _ in PLACES for kind in kinds}
    assert {same for _, same in alike} == {True, False}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "piano", "colour": "red"}, "class 'piano'"),
        ({"kind": "sofa", "colour": "teal"}, "colour 'teal'"),
        ({"kind": "window", "colour": "red"}, "colour 'red' does not suit a window"),
        ({"kind": "lamp", "colour": "red", "pattern": "striped"}, "pattern 'striped'"),
        ({"kind": "lamp", "colour": "red", "side": "top"}, "side 'top'"),
    ],
)
def test_impossible_things_are_refused(wrong: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Thing(x=0, y=0, **wrong)
