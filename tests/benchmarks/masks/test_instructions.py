"""The measure of edits by instruction, with edits of two steps."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.masks.instructions import KINDS, success
from magedit.config import EditConfig
from magedit.demo import checkpoint_path
from magedit.demo.evaluate import load_pipeline
from magedit.demo.sets import sample_edits
from magedit.masks.raster import describe
from magedit.masks.shapes import MaskPrompt
from magedit.segmenters.finder import Finders, FoundMask, FoundMasks

SEED = 7


@pytest.mark.parametrize(("finds", "overlap"), [("the true mask", 1.0), ("half of it", 0.5)])
def test_every_kind_is_tried_with_both_masks(monkeypatch: pytest.MonkeyPatch, finds: str, overlap: float) -> None:
    true = {e.image().tobytes(): e.mask() for kind in KINDS for e in sample_edits(kind, 1, SEED)}

    def found(_: Finders, image: Image.Image, prompt: MaskPrompt) -> FoundMasks:
        selected = np.asarray(true[image.tobytes()]) > 0
        if finds != "the true mask":
            selected &= selected.cumsum().reshape(selected.shape) <= selected.sum() / 2
        picture = Image.fromarray(selected.astype(np.uint8) * 255)
        return FoundMasks((FoundMask(picture, describe(picture, 1.0, prompt.words)),), "attention")

    monkeypatch.setattr(Finders, "find", found)
    told = success(load_pipeline(checkpoint_path()), 4, seed=SEED, config=EditConfig(steps=2, max_iterations=1))
    assert told["edits"] == 4
    assert told["overlap"] == pytest.approx(overlap, abs=0.002)
    assert 0 <= told["with_found_mask"] <= 1
    assert list(told["by_kind"]) == list(KINDS)
