"""The measure of edits by instruction, with edits of two steps."""

from __future__ import annotations

from benchmarks.masks.instructions import KINDS, success
from magedit.config import EditConfig
from magedit.demo import checkpoint_path
from magedit.demo.evaluate import load_pipeline


def test_every_kind_is_tried_with_both_masks() -> None:
    told = success(load_pipeline(checkpoint_path()), 4, seed=7, config=EditConfig(steps=2, max_iterations=1))
    assert told["edits"] == 4
    assert told["overlap"] > 0.4
    assert 0 <= told["with_found_mask"] <= 1
    assert list(told["by_kind"]) == list(KINDS)
