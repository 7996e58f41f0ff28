"""Masks from the shipped model's attention."""

from __future__ import annotations

import random
from collections.abc import Iterator
from statistics import mean

import numpy as np
import pytest
import torch
from PIL import Image

from magedit.backbones.base import Backbone
from magedit.demo import checkpoint_path, segmenter_path
from magedit.demo.draw import draw_mask, draw_scene
from magedit.demo.scene import Scene, Thing, sample_scene
from magedit.errors import NothingFound
from magedit.masks.shapes import MaskPrompt
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.segmenters import attention
from magedit.segmenters.attention import affinity, find, heat
from magedit.segmenters.finder import Finders
from magedit.segmenters.sam import SamSegmenter


def rooms() -> Iterator[Scene]:
    rng = random.Random(5)
    while True:
        yield sample_scene(rng)


def with_a_sofa() -> Scene:
    return next(scene for scene in rooms() if any(thing.kind == "sofa" for thing in scene.things))


@pytest.fixture(scope="module")
def demo() -> MAGEditPipeline:
    torch.set_num_threads(1)
    return MAGEditPipeline.from_pretrained(checkpoint_path())


def test_attention_finds_the_sofas_of_rooms(demo: MAGEditPipeline) -> None:
    rng = random.Random(5)
    overlaps: list[float] = []
    while len(overlaps) < 3:
        scene = sample_scene(rng)
        if all(thing.kind != "sofa" for thing in scene.things):
            continue
        true = np.asarray(draw_mask(scene, scene.find("sofa"))) > 0
        ((picture, score),), _ = find(demo.backbone, draw_scene(scene), "sofa")
        selected = np.asarray(picture) > 0
        overlaps.append(float((selected & true).sum() / (selected | true).sum()))
        assert 0 < score <= 1
    assert mean(overlaps) > 0.6


def test_the_map_covers_the_picture_and_the_model_is_unchanged(demo: MAGEditPipeline) -> None:
    image = draw_scene(with_a_sofa(), 256).crop((0, 40, 256, 200))
    before = {name: value.clone() for name, value in demo.unet.state_dict().items()}
    assert heat(demo.backbone, image, "sofa").shape == (16, 16)
    ((picture, _),), _ = find(demo.backbone, image, "sofa")
    assert picture.size == image.size
    assert all(torch.equal(before[name], value) for name, value in demo.unet.state_dict().items())


def test_absent_things_are_not_found(demo: MAGEditPipeline) -> None:
    image = draw_scene(next(scene for scene in rooms() if all(thing.kind != "lamp" for thing in scene.things)))
    with pytest.raises(
        NothingFound,
        match=r"no place in the picture matches 'lamp': the best attention contrast is "
        r"0\.0",
    ):
        find(demo.backbone, image, "left lamp")


def test_words_select_among_places(demo: MAGEditPipeline) -> None:
    scene = Scene(wall="cream", floor="grey", things=())
    pictures = [Thing(kind="picture", x=x, y=24, side=side, colour="red") for x, side in ((24, "left"), (104, "right"))]
    image = draw_scene(scene.with_things(pictures))
    for side, thing in zip(("left", "right"), pictures, strict=True):
        ((mask, _),), seen = find(demo.backbone, image, f"{side} picture")
        assert [each.chosen for each in seen].count(True) == 1
        box = mask.getbbox()
        assert box is not None
        assert abs((box[0] + box[2]) / 2 - thing.x) < 8


def test_a_segmenter_refines_masks_from_attention(demo: MAGEditPipeline) -> None:
    pictures = [Thing(kind="picture", x=x, y=24, side=side, colour="red") for x, side in ((24, "left"), (104, "right"))]
    scene = Scene(wall="cream", floor="grey", things=tuple(pictures))
    segmenter = SamSegmenter.load(segmenter_path())
    overlaps = []
    for finders in (Finders.of(demo.backbone), Finders.of(demo.backbone, segmenter)):
        found = finders.find(draw_scene(scene), MaskPrompt(words="left picture"))
        assert (found.found_by, len(found.masks)) == ("attention", 1)
        selected, true = (np.asarray(each) > 0 for each in (found.masks[0].picture, draw_mask(scene, pictures[0])))
        overlaps.append((selected & true).sum() / (selected | true).sum())
    assert overlaps[1] > max(overlaps[0], 0.8)


def test_every_part_found_by_attention_is_refined(demo: MAGEditPipeline) -> None:
    pictures = [Thing(kind="picture", x=x, y=24, side=side, colour="red") for x, side in ((24, "left"), (104, "right"))]
    scene = Scene(wall="cream", floor="grey", things=tuple(pictures))
    finders = Finders.of(demo.backbone, SamSegmenter.load(segmenter_path()))
    found = finders.find(draw_scene(scene), MaskPrompt(words="all picture"))
    selected = np.asarray(found.masks[0].picture) > 0
    for thing in pictures:
        true = np.asarray(draw_mask(scene, thing)) > 0
        assert (selected & true).sum() / true.sum() > 0.8


def test_the_finder_falls_back_to_attention_and_names_it(demo: MAGEditPipeline) -> None:
    finders = Finders.of(demo.backbone)
    assert finders.finds_by == ("points", "box", "words")
    image = draw_scene(with_a_sofa())
    found = finders.find(image, MaskPrompt(words="sofa", grow=2))
    assert found.found_by == "attention"
    assert found.masks[0].candidate.rle.size == (128, 128)


def test_clicks_and_boxes_find_a_sofa_and_attention_is_cached(
    demo: MAGEditPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = with_a_sofa()
    image, true = draw_scene(scene), np.asarray(draw_mask(scene, scene.find("sofa"))) > 0
    looked: list[Image.Image] = []

    def counted(backbone: Backbone, picture: Image.Image) -> torch.Tensor:
        looked.append(picture)
        return affinity(backbone, picture)

    monkeypatch.setattr(attention, "affinity", counted)
    finders = Finders.of(demo.backbone)
    rows, columns = np.nonzero(true)
    box = (float(columns.min()), float(rows.min()), float(np.ptp(columns) + 1), float(np.ptp(rows) + 1))
    middle = (float(np.median(columns)), float(np.median(rows)), 1)
    for prompt in (MaskPrompt(box=box), MaskPrompt.model_validate({"points": [middle]})):
        found = finders.find(image, prompt)
        selected = np.asarray(found.masks[0].picture) > 0
        assert found.found_by == "attention"
        assert (selected & true).sum() / (selected | true).sum() > 0.4
    assert len(looked) == 1
    assert finders.attention is not None
    monkeypatch.setattr(attention, "KEPT", 1)
    finders.attention.segment(image.resize((40, 40)), ((1, 1, 1),))
    assert finders.attention.kept == 1
