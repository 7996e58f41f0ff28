"""Text-prompted detection with a tiny real model."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from magedit.errors import NothingFound, SeveralFound
from magedit.masks.shapes import MaskPrompt
from magedit.segmenters import detector as module
from magedit.segmenters.detector import ALIKE, Detector, _overlap
from magedit.segmenters.finder import Finders
from magedit.segmenters.sam import SamSegmenter


@pytest.fixture(scope="module")
def detector(grounding_dino: Path) -> Detector:
    return Detector.load(grounding_dino)


def picture() -> Image.Image:
    return Image.radial_gradient("L").resize((90, 60)).convert("RGB")


def test_boxes_lie_in_the_picture_sorted_by_score(detector: Detector) -> None:
    found = detector.detect(picture(), "Red sofa", threshold=0.0)
    assert found
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    for each in found:
        x, y, width, height = each.box
        assert 0 <= x < x + width <= 90
        assert 0 <= y < y + height <= 60
    assert all(_overlap(a.box, b.box) < ALIKE for a in found for b in found if a is not b)


def test_nothing_found_names_the_best_score(detector: Detector) -> None:
    with pytest.raises(
        NothingFound,
        match=r"nothing in the picture matches 'lamp': the best score is [01]\.\d\d, below the threshold 1\.1",
    ):
        detector.detect(picture(), "lamp", threshold=1.1)


def test_a_detected_thing_is_segmented_in_its_box(
    detector: Detector, sam: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.THRESHOLDS, "grounding-dino", 0.0)  # random weights are sure of nothing
    alone = Finders(detector=detector)
    found = alone.find(picture(), MaskPrompt(words="largest sofa"))
    assert (found.found_by, len(found.masks), found.masks[0].candidate.label) == ("detector", 1, "largest sofa")
    things = detector.detect(picture(), "sofa")
    assert [each.box for each in found.seen] == [each.box for each in things]
    assert sum(each.chosen for each in found.seen) == 1
    *_, width, height = found.masks[0].candidate.box
    assert found.masks[0].candidate.area == width * height  # the detector's box itself
    both = Finders(detector=detector, segmenter=SamSegmenter.load(sam))
    assert both.finds_by == ("points", "box", "words")
    assert both.find(picture(), MaskPrompt(words="largest sofa")).masks[0].picture.size == (90, 60)
    if len(things) > 1:
        with pytest.raises(SeveralFound):
            alone.find(picture(), MaskPrompt(words="sofa"))
