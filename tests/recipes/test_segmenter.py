"""The recipe of a segmenter: its masks are true, it goes on after a stop, and what it writes is loaded as any other."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from magedit.demo.draw import draw_mask, draw_scene
from magedit.demo.scene import sample_scene
from magedit.masks.polygons import box_of
from magedit.segmenters.sam import SamSegmenter
from recipes.presets.segmenter import SEGMENTER_128, SEGMENTER_TOY
from recipes.segmenter import (
    LOOSE,
    build_segmenter,
    export_segmenter_snapshot,
    sample_prompts,
    targets,
    train_segmenter,
)
from recipes.training.loop import OutOfBudgetError, Run


def test_targets_are_the_rooms_own_masks() -> None:
    scene = sample_scene(random.Random(3))
    masks = targets(scene)
    assert np.array_equal(masks.whole[0], np.asarray(draw_mask(scene, scene.things[0])) > 0)
    for part, owner in zip(masks.part, masks.owner, strict=True):
        assert not (part & ~masks.whole[owner]).any()
    assert not (masks.whole & ~masks.full).any()
    assert masks.whole.any(axis=0).all()  # wall and floor fill the rest


def test_prompts_lie_on_their_targets() -> None:
    masks = targets(sample_scene(random.Random(3)))
    prompts = sample_prompts(masks, 20, 3, random.Random(1))
    for ((x, y),), meant in zip(prompts.clicks.long().tolist(), prompts.click_targets, strict=True):
        part, whole, full = masks.stack[meant]
        assert part[y, x]
        assert not (part & ~whole).any()
        assert not (whole & ~full).any()
    for clicks, meant in zip(prompts.series.long().tolist(), prompts.series_targets, strict=True):
        assert all(masks.stack[int(meant)][y, x] == bool(label) for x, y, label in clicks)
    for box, meant in zip(prompts.boxes.tolist(), prompts.box_targets, strict=True):
        x, y, width, height = box_of(masks.stack[int(meant)])
        edges = (x, y, x + width, y + height)
        assert max(abs(side - edge) for side, edge in zip(box, edges, strict=True)) <= LOOSE


def test_an_interrupted_training_resumes_and_its_segmenter_loads(tmp_path: Path) -> None:
    out, state = tmp_path / "out", tmp_path / "state"
    run = Run(state=state, seed=SEGMENTER_TOY.seed, snapshot_s=0.0)
    with pytest.raises(OutOfBudgetError):
        train_segmenter(replace(run, deadline=time.monotonic()), SEGMENTER_TOY, out)
    assert not out.exists()
    train_segmenter(run, SEGMENTER_TOY, out)
    assert export_segmenter_snapshot(SEGMENTER_TOY, state, tmp_path / "snapshot") == 32
    image = draw_scene(sample_scene(random.Random(3)), 64)
    one, other = (
        SamSegmenter.load(folder).segment(image, box=(10, 10, 30, 30)) for folder in (out, tmp_path / "snapshot")
    )
    assert len(one) == len(other)
    assert all(torch.equal(a.mask, b.mask) for a, b in zip(one, other, strict=True))


def test_the_segmenter_is_small() -> None:
    model = build_segmenter(SEGMENTER_128.segmenter, SEGMENTER_128.size)
    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 10 * 2**20
