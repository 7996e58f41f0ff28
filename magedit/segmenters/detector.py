"""Zero-shot object detection with transformers' Grounding DINO, OWL-ViT and OWLv2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from PIL import Image
from transformers import AutoModelForZeroShotObjectDetection

from magedit.errors import NothingFound
from magedit.images.transparency import flatten
from magedit.masks.phrases import Box
from magedit.segmenters.loading import MaskModel

THRESHOLDS: Final = {"grounding-dino": 0.25, "owlvit": 0.1, "owlv2": 0.1}
"""Score threshold of a box by layout, from the published programs."""
ALIKE: Final = 0.7
"""Intersection over union above which the lower-scoring of two boxes is dropped."""


@dataclass(frozen=True)
class Detected:
    """A detected thing: its box and score in [0, 1]."""

    box: Box
    score: float


class Detector(MaskModel):
    """A loaded detector."""

    role = "detector"
    layouts = THRESHOLDS
    architecture = AutoModelForZeroShotObjectDetection

    @torch.no_grad()
    def detect(self, image: Image.Image, words: str, threshold: float | None = None) -> list[Detected]:
        """The things that match ``words``, highest score first; ``threshold`` None: the layout's default.

        Raises:
            NothingFound: no box reaches the threshold; names the best score.
        """
        layout = self._model.config.model_type
        threshold = THRESHOLDS[layout] if threshold is None else threshold
        picture = flatten(image)
        dino = layout == "grounding-dino"
        text: Any = f"{words.lower().rstrip('.')}." if dino else [[words.lower()]]
        inputs = self._processor(images=picture, text=text, return_tensors="pt")
        weights = next(self._model.parameters())
        inputs = {
            name: value.to(weights.device, weights.dtype) if value.is_floating_point() else value.to(weights.device)
            for name, value in inputs.items()
        }
        answer = self._model(**inputs)
        options: dict[str, Any] = {"input_ids": inputs["input_ids"], "text_threshold": 0.0} if dino else {}
        (found,) = self._processor.post_process_grounded_object_detection(
            answer, threshold=0.0, target_sizes=[picture.size[::-1]], **options
        )
        boxes = [
            Detected(_inside(box, picture.size), float(score))
            for box, score in zip(found["boxes"].tolist(), found["scores"].tolist(), strict=True)
        ]
        boxes = sorted((each for each in boxes if min(each.box[2:]) > 0), key=lambda each: -each.score)
        best = boxes[0].score if boxes else 0.0
        kept: list[Detected] = []
        for each in boxes:
            if each.score >= threshold and all(_overlap(each.box, other.box) < ALIKE for other in kept):
                kept.append(each)
        if not kept:
            raise NothingFound(
                f"nothing in the picture matches {words!r}: the best score is {best:.2f}, below the "
                f"threshold {threshold:g}"
            )
        return kept


def _inside(corners: list[float], size: tuple[int, int]) -> Box:
    left, top = max(corners[0], 0.0), max(corners[1], 0.0)
    right, bottom = min(corners[2], float(size[0])), min(corners[3], float(size[1]))
    return left, top, right - left, bottom - top


def _overlap(one: Box, other: Box) -> float:
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
