"""Segmentation by points and boxes with a model in SAM's layout (Kirillov et al., arXiv 2304.02643)."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import torch
from PIL import Image
from torch import Tensor
from transformers import SamModel

from magedit.demo import suited_segmenter
from magedit.images.transparency import flatten
from magedit.masks.shapes import MaskBox, MaskPoints
from magedit.segmenters.loading import MaskModel

KEPT: Final = 16
"""Number of pictures in the LRU cache of embeddings."""
NO_SEGMENTER: Final = "none"
"""Setting for no segmenter: the edit model's attention handles points and boxes."""
ALIKE: Final = 0.95
"""Intersection over union above which two candidates count as duplicates."""


@dataclass(frozen=True)
class Found:
    """A found mask, (height, width) bool, and its score in [0, 1]."""

    mask: Tensor
    score: float


@dataclass(frozen=True)
class _Embedded:
    embedding: Tensor
    size: tuple[int, int]
    """Height and width of the picture."""
    reshaped: tuple[int, int]
    """Height and width after the model's preprocessing."""


class SamSegmenter(MaskModel):
    """A model in SAM layout with cached embeddings of recent pictures, so that a further click only runs the
    decoder."""

    role = "segmenter"
    layouts = ("sam",)
    architecture = SamModel

    def __init__(self, model: SamModel, processor: Any) -> None:
        super().__init__(model, processor)
        self._embedded: OrderedDict[str, _Embedded] = OrderedDict()

    @classmethod
    def beside(cls, checkpoint: str | Path | None, named: str | None = None, *, device: str = "cpu") -> Self | None:
        """Load the segmenter for an edit model: ``named``, or the one that ships with a demo ``checkpoint``.

        None if no segmenter ships with ``checkpoint``, or ``named`` is `NO_SEGMENTER`.

        Raises:
            CheckpointError: see `load`.
        """
        if named == NO_SEGMENTER:
            return None
        chosen = named or (suited_segmenter(checkpoint) if checkpoint else None)
        return cls.load(chosen, device=device) if chosen else None

    @property
    def kept(self) -> int:
        """Number of pictures with cached embeddings."""
        return len(self._embedded)

    @torch.no_grad()
    def segment(self, image: Image.Image, points: MaskPoints = (), box: MaskBox | None = None) -> list[Found]:
        """The candidates for points (x, y, label) and a box (x, y, width, height), highest score first.

        A single click is ambiguous and yields up to three; further input yields one.
        """
        embedded = self._embed(image)
        size, reshaped = embedded.size, embedded.reshaped
        scale = torch.tensor([reshaped[1] / size[1], reshaped[0] / size[0]])
        device, dtype = embedded.embedding.device, embedded.embedding.dtype
        prompts: dict[str, Tensor] = {}
        if points:
            places = torch.tensor([[x, y] for x, y, _ in points]) * scale
            prompts["input_points"] = places[None, None].to(device, dtype)
            prompts["input_labels"] = torch.tensor([[[label for *_, label in points]]], device=device)
        if box is not None:
            x, y, width, height = box
            corners = torch.tensor([[x, y], [x + width, y + height]]) * scale
            prompts["input_boxes"] = corners.reshape(1, 1, 4).to(device, dtype)
        ambiguous = box is None and len(points) == 1
        answer = self._model(image_embeddings=embedded.embedding, multimask_output=ambiguous, **prompts)
        (masks,) = self._processor.post_process_masks(
            answer.pred_masks.float().cpu(), torch.tensor([size]), torch.tensor([reshaped])
        )
        scores = answer.iou_scores[0, 0].float().clamp(0, 1).tolist()
        return _distinct([Found(mask, score) for mask, score in zip(masks[0], scores, strict=True)])

    def _embed(self, image: Image.Image) -> _Embedded:
        picture = flatten(image)
        name = hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()
        if (known := self._embedded.get(name)) is not None:
            self._embedded.move_to_end(name)
            return known
        inputs = self._processor.image_processor(picture, return_tensors="pt")
        weights = next(self._model.parameters())
        embedding = self._model.get_image_embeddings(inputs["pixel_values"].to(weights.device, weights.dtype))
        size, reshaped = (tuple(map(int, inputs[key][0])) for key in ("original_sizes", "reshaped_input_sizes"))
        embedded = _Embedded(embedding, (size[0], size[1]), (reshaped[0], reshaped[1]))
        self._embedded[name] = embedded
        while len(self._embedded) > KEPT:
            self._embedded.popitem(last=False)
        return embedded


def _distinct(found: list[Found]) -> list[Found]:
    """The non-empty candidates, highest score first, without near duplicates."""
    kept: list[Found] = []
    for each in sorted(found, key=lambda one: -one.score):
        if each.mask.any() and all(overlap(each.mask, other.mask) < ALIKE for other in kept):
            kept.append(each)
    return kept


def overlap(one: Tensor, other: Tensor) -> float:
    """Intersection over union of two masks."""
    return float((one & other).sum() / (one | other).sum().clamp(min=1))
