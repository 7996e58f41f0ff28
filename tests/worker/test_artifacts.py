from __future__ import annotations

import json
from typing import Any

from PIL import Image

from magedit.config import EditConfig, Region
from worker.artifacts import attention_pictures, trace_json
from worker.model import ServedModel

SIZE = (300, 256)
CONFIG = EditConfig(steps=2, max_iterations=1)


def edit(model: ServedModel, config: EditConfig, **options: Any) -> Any:
    image = Image.new("RGB", SIZE, "tan")
    masks = [Image.new("L", SIZE), Image.new("L", SIZE)]
    masks[0].paste(255, (20, 20, 120, 120))
    masks[1].paste(255, (160, 60, 240, 200))
    regions = [Region(words=("green",)), Region(words=("sofa",))]
    return model.editor(image, masks, "a room", "a green sofa", regions, config, **options), image, masks


def test_pictures_per_region_and_an_overview(real_model: ServedModel) -> None:
    edited, image, masks = edit(real_model, CONFIG)
    unguided, *_ = edit(real_model, EditConfig(steps=2, method="p2p"), inversion=edited.inversion)
    pictures = dict(attention_pictures(image, masks, edited, unguided))
    assert list(pictures) == [
        "attention-before-0.png",
        "attention-after-0.png",
        "attention-before-1.png",
        "attention-after-1.png",
        "overview.png",
    ]
    assert {picture.size for name, picture in pictures.items() if name != "overview.png"} == {SIZE}
    assert pictures["overview.png"].width > 6 * SIZE[0]
    trace = json.loads(trace_json(edited))
    assert [step["step"] for step in trace] == [0]
    assert len(trace[0]["before"]) == 2
