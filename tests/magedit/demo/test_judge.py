import random
from dataclasses import replace

from PIL import Image

from magedit.demo.captions import Style, caption_scene
from magedit.demo.draw import draw_scene
from magedit.demo.judge import find_things, places, satisfied, shows
from magedit.demo.scene import Scene, Thing, sample_scene


def test_places_are_those_of_the_scenes() -> None:
    rng = random.Random(0)
    for _ in range(200):
        for thing in sample_scene(rng).things:
            assert (thing.x, thing.y, thing.side, thing.form) in set(places(thing.kind))


def test_true_pictures_are_read_right() -> None:
    rng = random.Random(1)
    right = asked = 0
    for _ in range(6):
        scene = sample_scene(rng)
        picture = draw_scene(scene)
        for mention in caption_scene(scene, rng, Style(omission=0.0)).mentions:
            asked += 1
            right += satisfied(mention, find_things(picture, mention.kind), where=True)
    assert right / asked > 0.9


def test_an_empty_picture_shows_nothing() -> None:
    assert find_things(Image.new("RGB", (128, 128), (236, 224, 202)), "pillow") == []


def test_a_thing_is_read_by_the_part_that_nothing_hides() -> None:
    plant = Thing(kind="plant", x=14, y=108, side="left", colour="purple")
    table = Thing(kind="table", x=20, y=112, side="left", colour="blue")
    scene = Scene(wall="cream", floor="wooden", things=(plant, table))
    picture = draw_scene(scene)
    assert "purple" not in {found.thing.colour for found in find_things(picture, "plant")}
    assert shows(picture, plant, scene)
    assert not shows(picture, replace(plant, colour="red"), scene)
    assert not shows(draw_scene(replace(scene, things=(table,))), plant, scene)
