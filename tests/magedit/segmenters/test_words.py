"""Things found by words with the shipped model's attention and the shipped segmenter."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from statistics import mean

import numpy as np
import pytest

from magedit.demo import segmenter_path
from magedit.demo.draw import draw_mask, draw_scene
from magedit.demo.scene import Scene, Thing, sample_scene
from magedit.errors import NothingFound
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.segmenters.sam import SamSegmenter
from magedit.segmenters.words import find

PICTURES = Scene(
    wall="cream",
    floor="grey",
    things=tuple(
        Thing(kind="picture", x=x, y=24, side=side, colour="red") for x, side in ((24, "left"), (104, "right"))
    ),
)


def rooms(suits: Callable[[Scene], bool]) -> Iterator[Scene]:
    rng = random.Random(5)
    return filter(suits, iter(lambda: sample_scene(rng), None))


def of_kind(scene: Scene, kind: str) -> list[Thing]:
    return [thing for thing in scene.things if thing.kind == kind]


@pytest.fixture(scope="module")
def sam_of_rooms() -> SamSegmenter:
    return SamSegmenter.load(segmenter_path())


def overlap(
    demo: MAGEditPipeline, scene: Scene, words: str, things: Sequence[Thing], segmenter: SamSegmenter | None = None
) -> float:
    """Intersection over union of what words find and the things they mean."""
    ((mask, score),), _ = find(demo.backbone, draw_scene(scene), words, segmenter)
    assert 0 < score <= 1
    selected = np.asarray(mask) > 0
    true = np.any([np.asarray(draw_mask(scene, thing)) > 0 for thing in things], axis=0)
    return float((selected & true).sum() / (selected | true).sum())


def test_attention_finds_the_sofas_of_rooms(demo: MAGEditPipeline) -> None:
    scenes = islice(rooms(lambda scene: bool(of_kind(scene, "sofa"))), 3)
    assert mean(overlap(demo, scene, "sofa", of_kind(scene, "sofa")) for scene in scenes) > 0.6


def test_absent_things_are_not_found(demo: MAGEditPipeline) -> None:
    image = draw_scene(next(rooms(lambda scene: not of_kind(scene, "lamp"))))
    with pytest.raises(NothingFound, match=r"matches 'lamp': the best attention contrast is 0\.0"):
        find(demo.backbone, image, "left lamp")


def test_words_select_among_places(demo: MAGEditPipeline) -> None:
    image = draw_scene(PICTURES)
    for side, thing in zip(("left", "right"), PICTURES.things, strict=True):
        ((mask, _),), seen = find(demo.backbone, image, f"{side} picture")
        assert [each.chosen for each in seen].count(True) == 1
        box = mask.getbbox()
        assert box is not None
        assert abs((box[0] + box[2]) / 2 - thing.x) < 8


def test_a_segmenter_refines_masks_from_attention(demo: MAGEditPipeline, sam_of_rooms: SamSegmenter) -> None:
    alone, segmented = (
        overlap(demo, PICTURES, "left picture", PICTURES.things[:1], each) for each in (None, sam_of_rooms)
    )
    assert segmented > max(alone, 0.8)


def test_every_part_found_by_attention_is_refined(demo: MAGEditPipeline, sam_of_rooms: SamSegmenter) -> None:
    for words in ("all picture", "the pictures", "both red pictures"):  # the demo knows no "pictures"
        assert overlap(demo, PICTURES, words, PICTURES.things, sam_of_rooms) > 0.8


def test_a_sofa_is_found_whatever_lies_on_it(demo: MAGEditPipeline, sam_of_rooms: SamSegmenter) -> None:
    scenes = islice(rooms(lambda scene: bool(of_kind(scene, "sofa")) and len(of_kind(scene, "pillow")) == 2), 3)
    for scene in scenes:
        assert overlap(demo, scene, "sofa", of_kind(scene, "sofa"), sam_of_rooms) > 0.8


def test_the_sofa_is_not_taken_for_a_second_pillow(demo: MAGEditPipeline, sam_of_rooms: SamSegmenter) -> None:
    scenes = islice(rooms(lambda scene: len(of_kind(scene, "pillow")) == 1), 3)
    for scene in scenes:
        assert overlap(demo, scene, "pillow", of_kind(scene, "pillow"), sam_of_rooms) > 0.8


@pytest.mark.parametrize(
    ("words", "meant"),
    [("blue pillow", [0]), ("striped orange pillow", [1]), ("right blue pillow", [0]), ("pillow", [0, 1])],
)
def test_qualities_choose_among_several(
    demo: MAGEditPipeline, sam_of_rooms: SamSegmenter, words: str, meant: list[int]
) -> None:
    pillows = (
        Thing(kind="pillow", x=48, y=76, side="left", colour="blue"),
        Thing(kind="pillow", x=80, y=76, side="right", colour="orange", pattern="striped"),
    )
    sofa = Thing(kind="sofa", x=64, y=76, colour="white")
    scene = Scene(wall="cream", floor="grey", things=(sofa, *pillows))
    assert overlap(demo, scene, words, [pillows[at] for at in meant], sam_of_rooms) > 0.8
