"""Maps of the shipped model's attention, and masks by points and boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from magedit.backbones.base import Backbone
from magedit.demo.draw import draw_mask, draw_scene
from magedit.demo.scene import Scene
from magedit.masks.shapes import MaskPrompt
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.segmenters import attention
from magedit.segmenters.attention import affinity, heat
from magedit.segmenters.finder import Finders


def test_the_map_covers_the_picture_and_the_model_is_unchanged(demo: MAGEditPipeline, sofa_room: Scene) -> None:
    image = draw_scene(sofa_room, 256).crop((0, 40, 256, 200))
    before = {name: value.clone() for name, value in demo.unet.state_dict().items()}
    assert heat(demo.backbone, image, "sofa").shape == (16, 16)
    assert all(torch.equal(before[name], value) for name, value in demo.unet.state_dict().items())


def test_the_finder_falls_back_to_attention_and_names_it(demo: MAGEditPipeline, sofa_room: Scene) -> None:
    finders = Finders.of(demo.backbone)
    assert finders.finds_by == ("points", "box", "words")
    image = draw_scene(sofa_room)
    found = finders.find(image, MaskPrompt(words="sofa", grow=2))
    assert found.found_by == "attention"
    assert found.masks[0].candidate.rle.size == (128, 128)


def test_clicks_and_boxes_find_a_sofa_and_attention_is_cached(
    demo: MAGEditPipeline, sofa_room: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, true = draw_scene(sofa_room), np.asarray(draw_mask(sofa_room, sofa_room.find("sofa"))) > 0
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
