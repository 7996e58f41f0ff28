"""Segmentation by points and boxes with a tiny real model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from magedit.demo import checkpoint_path
from magedit.segmenters import sam as module
from magedit.segmenters.sam import SamSegmenter, overlap


@pytest.fixture(scope="module")
def segmenter(sam: Path) -> SamSegmenter:
    return SamSegmenter.load(sam)


def picture(size: tuple[int, int] = (90, 60)) -> Image.Image:
    return Image.radial_gradient("L").resize(size).convert("RGB")


def test_one_click_yields_up_to_three_candidates_and_more_input_one(segmenter: SamSegmenter) -> None:
    found = segmenter.segment(picture(), ((40, 30, 1),))
    assert 1 <= len(found) <= 3
    assert all(each.mask.shape == (60, 90) and each.mask.dtype == torch.bool for each in found)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert all(overlap(a.mask, b.mask) < module.ALIKE for a in found for b in found if a is not b)
    prompts: tuple[dict[str, Any], ...] = ({"points": ((40, 30, 1), (5, 5, 0))}, {"box": (10, 10, 40, 30)})
    for prompt in prompts:
        assert len(segmenter.segment(picture(), **prompt)) <= 1


def test_points_match_the_published_processor(segmenter: SamSegmenter) -> None:
    image = picture((90, 60))
    inputs = segmenter._processor(images=image, input_points=[[[40, 30]]], return_tensors="pt")
    with torch.no_grad():
        answer = segmenter._model(**{k: inputs[k] for k in ("pixel_values", "input_points")}, multimask_output=True)
    (masks,) = segmenter._processor.post_process_masks(
        answer.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )
    wanted = max(zip(answer.iou_scores[0, 0].tolist(), masks[0], strict=True), key=lambda pair: pair[0])[1]
    assert torch.equal(segmenter.segment(image, ((40, 30, 1),))[0].mask, wanted)


def test_the_segmenter_of_an_edit_model(sam: Path, tmp_path: Path) -> None:
    size = SamSegmenter.load(sam).size_bytes
    demo, other = checkpoint_path(), tmp_path
    for checkpoint in (demo, other, None):
        named = SamSegmenter.beside(checkpoint, str(sam))
        assert named is not None
        assert named.size_bytes == size
        assert SamSegmenter.beside(checkpoint, "none") is None
    shipped = SamSegmenter.beside(demo)
    assert shipped is not None
    assert shipped.size_bytes > size
    assert SamSegmenter.beside(other) is SamSegmenter.beside(None) is None


def test_picture_embeddings_are_cached(sam: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = SamSegmenter.load(sam)
    embedded: list[torch.Tensor] = []
    embed = segmenter._model.get_image_embeddings

    def counted(pixels: torch.Tensor) -> torch.Tensor:
        embedded.append(pixels)
        found: torch.Tensor = embed(pixels)
        return found

    monkeypatch.setattr(segmenter._model, "get_image_embeddings", counted)
    for x in (10, 40, 80):
        segmenter.segment(picture(), ((x, 30, 1),))
    assert (len(embedded), segmenter.kept) == (1, 1)
    segmenter.segment(picture((60, 90)), ((10, 30, 1),))
    assert (len(embedded), segmenter.kept) == (2, 2)
    for side in range(20, 20 + module.KEPT):
        segmenter.segment(picture((side, 20)), ((1, 1, 1),))
    assert segmenter.kept == module.KEPT
