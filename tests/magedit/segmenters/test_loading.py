"""Checkpoints that are refused, and the memory of those that are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from magedit.errors import CheckpointError
from magedit.segmenters.detector import Detector
from magedit.segmenters.loading import MaskModel
from magedit.segmenters.sam import SamSegmenter


@pytest.mark.parametrize("kind", [Detector, SamSegmenter])
def test_another_model_is_refused_by_its_layout(
    kind: type[MaskModel], tmp_path: Path, sam: Path, grounding_dino: Path
) -> None:
    with pytest.raises(CheckpointError, match=f"{kind.role} .* cannot be loaded"):
        kind.load(tmp_path)
    other, layout = (sam, "sam") if kind is Detector else (grounding_dino, "grounding-dino")
    wanted = f"{kind.role} .* has the layout '{layout}': use one of {', '.join(kind.layouts)}"
    with pytest.raises(CheckpointError, match=wanted):
        kind.load(other)


def test_size_is_that_of_the_weights_and_half_in_half_precision(sam: Path) -> None:
    full, half = SamSegmenter.load(sam), SamSegmenter.load(sam, dtype=torch.float16)
    assert full.size_bytes == 2 * half.size_bytes > 0
