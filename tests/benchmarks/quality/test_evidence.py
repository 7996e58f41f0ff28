"""Causes of failed edits, and their pages."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
import torch
from PIL import Image

from benchmarks.quality.evidence import CAUSES, cause, contrast, examine
from benchmarks.quality.rows import CEILING, ROWS
from magedit.demo import checkpoint_path, demo_edit
from magedit.demo.evaluate import load_pipeline


def test_contrast_is_the_mean_inside_over_the_mean_outside() -> None:
    mask = Image.new("L", (4, 4))
    mask.paste(255, (0, 0, 2, 4))
    attention = torch.tensor([[0.6, 0.6, 0.1, 0.1]] * 4)
    assert contrast(attention, mask) == pytest.approx(6.0)
    # At the map's own size: half of a cell counts half.
    assert contrast(torch.tensor([[0.6, 0.1], [0.6, 0.1]]), mask) == pytest.approx(6.0)
    assert contrast(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), mask) == inf


def test_each_cause_is_recognised() -> None:
    good, bad = {"success": 1.0}, {"success": 0.0}
    far, near = {"read": 1.0, "left": 1.5}, {"read": 0.0, "left": 0.2}
    found = [
        cause(bad | far, good, bad, won=9.0),
        cause(bad | far, good, good, won=9.0),
        cause(bad | far, bad, good, won=1.1),
        cause(bad | far, bad, good, won=9.0),
        cause(bad | near, bad, good, won=9.0),
    ]
    assert found == list(CAUSES)
    # What was refused has no figures.
    assert cause(bad | {"read": 0.0, "error": "diverged"}, bad, good, won=9.0) == "picture does not follow"


def test_a_failed_edit_has_a_page() -> None:
    rows = {name: replace(ROWS[name], steps=2, max_iterations=1) for name in ("kind", "kind, no guidance")}
    failed = {"success": 0.0, "read": 0.0, "left": 1.0}
    figures = {CEILING: {"success": 1.0}, "kind": failed, "kind, no guidance": failed}
    edit = replace(demo_edit("carpet"), name="plain-colour-0.0")
    why, won, page = examine(load_pipeline(checkpoint_path()), edit, figures, rows)
    assert why in CAUSES
    assert won > 0
    # Its text, the pictures, and the maps of either edit.
    assert page.height > 3 * 192
