import random

import numpy as np
import pytest

from magedit.demo.draw import draw_mask, draw_scene, parts
from magedit.demo.palette import KINDS, MORE_PATTERNS, PATTERNS, UNCOLOURED
from magedit.demo.scene import Scene, Thing, sample_scene

COLOURED_PART = {
    "curtain": "drapes",
    "picture": "canvas",
    "clock": "face",
    "lamp": "shade",
    "plant": "pot",
    "sofa": "body",
    "pillow": "cover",
    "carpet": "cloth",
    "table": "board",
    "ball": "surface",
}
"""The part of each class that its colour and pattern paint."""


@pytest.mark.parametrize("size", [64, 128, 200, 512])
def test_pictures_have_any_size(size: int) -> None:
    picture = draw_scene(sample_scene(random.Random(0)), size)
    assert picture.size == (size, size)
    assert picture.mode == "RGB"


def test_a_mask_holds_every_pixel_that_its_thing_changes() -> None:
    for seed in range(20):
        scene = sample_scene(random.Random(seed))
        for thing in scene.things:
            without = scene.with_things(other for other in scene.things if other != thing)
            changed = np.any(np.asarray(draw_scene(scene)) != np.asarray(draw_scene(without)), axis=-1)
            mask = np.asarray(draw_mask(scene, thing)) > 0
            assert not (changed & ~mask).any(), thing


def test_parts_make_up_their_thing() -> None:
    for kind in KINDS:
        colour = None if kind in UNCOLOURED else "red"
        thing = Thing(kind=kind, x=64, y=90, colour=colour)
        scene = Scene(wall="mint", floor="brown", things=(thing,))
        whole = np.asarray(draw_mask(scene, thing))
        union = np.max([np.asarray(draw_mask(scene, thing, part)) for part in parts(kind)], axis=0)
        assert (whole == union).all(), kind
        assert COLOURED_PART.get(kind, "frame") in parts(kind)


def test_objects_in_front_are_not_in_the_mask() -> None:
    sofa = Thing(kind="sofa", x=64, y=72, colour="blue")
    pillow = Thing(kind="pillow", x=48, y=72, side="left", colour="red")
    mask = draw_mask(Scene(wall="mint", floor="brown", things=(sofa, pillow)), sofa)
    assert mask.getpixel((48, 72)) == 0
    assert mask.getpixel((80, 72)) == 255


def test_patterns_show() -> None:
    pictures = []
    for pattern in PATTERNS + MORE_PATTERNS:
        carpet = Thing(kind="carpet", x=64, y=112, colour="blue", pattern=pattern, form="round")
        pictures.append(draw_scene(Scene(wall="mint", floor="brown", things=(carpet,))).tobytes())
    assert len(set(pictures)) == 6


def test_unknown_parts_are_refused() -> None:
    lamp = Thing(kind="lamp", x=14, y=104, side="left", colour="red")
    with pytest.raises(ValueError, match="no part 'lid': it has stand, shade"):
        draw_mask(Scene(wall="mint", floor="brown", things=(lamp,)), lamp, "lid")
