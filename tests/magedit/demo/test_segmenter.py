"""The segmenter that ships: small, of SAM's layout, and on by default with the demo's checkpoints alone."""

from __future__ import annotations

import random
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pytest
from transformers import SamModel

from benchmarks.masks.run import SMALLEST, inside, seen
from magedit.demo import (
    checkpoint_path,
    flow_checkpoint_path,
    instruct_checkpoint_path,
    segmenter_path,
    suited_segmenter,
)
from magedit.demo.draw import draw_scene
from magedit.demo.scene import sample_scene
from magedit.masks.polygons import box_of
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.segmenters.sam import SamSegmenter


def test_it_is_a_plain_sam_of_ten_megabytes_at_most() -> None:
    folder = segmenter_path()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10 * 2**20
    assert isinstance(SamModel.from_pretrained(folder), SamModel)


def test_it_finds_things_of_rooms_that_it_was_not_trained_on() -> None:
    segmenter = SamSegmenter.load(segmenter_path())
    rng = random.Random("shipped")
    overlaps: dict[str, list[float]] = {"click": [], "box": []}
    for _ in range(10):
        scene = sample_scene(rng)
        image = draw_scene(scene)
        for thing in scene.things:
            true = seen(scene, thing)
            if true.sum() < SMALLEST:
                continue
            prompts: dict[str, dict[str, Any]] = {
                "click": {"points": ((*inside(true), 1),)},
                "box": {"box": box_of(true)},
            }
            for name, prompt in prompts.items():
                mask = segmenter.segment(image, **prompt)[0].mask.numpy()
                overlaps[name].append(float((mask & true).sum() / (mask | true).sum()))
    assert mean(overlaps["click"]) > 0.85
    assert mean(overlaps["box"]) > 0.88


@pytest.mark.parametrize("checkpoint", [checkpoint_path(), flow_checkpoint_path(), instruct_checkpoint_path()])
def test_it_goes_with_the_checkpoints_of_the_demo(checkpoint: Path) -> None:
    assert suited_segmenter(checkpoint) == segmenter_path()
    assert suited_segmenter(f"{checkpoint}/") == segmenter_path()


def test_it_goes_with_no_other_checkpoint(tmp_path: Path) -> None:
    assert suited_segmenter(tmp_path) is None
    assert suited_segmenter("runwayml/stable-diffusion-v1-5") is None


def test_the_library_clicks_with_it() -> None:
    scene = sample_scene(random.Random(3))
    true = seen(scene, scene.things[0])
    pipe = MAGEditPipeline.from_pretrained(checkpoint_path())
    for _ in range(2):
        found = pipe.segment(draw_scene(scene), points=[[*inside(true), 1]])
        assert found.found_by == "segmenter"
    selected = np.asarray(found.masks[0].picture) > 0
    assert (selected & true).any()
