"""One entry point to all mask finders of a process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from magedit.backbones.base import Backbone
from magedit.errors import EmptyMask, NoFinder, NothingFound
from magedit.images.masks import union
from magedit.masks.candidates import CANDIDATES_MAX, Candidate, Finder, SeenThing
from magedit.masks.phrases import Phrase
from magedit.masks.raster import describe, operate
from magedit.masks.shapes import FindsBy, MaskPrompt
from magedit.segmenters import words as by_words
from magedit.segmenters.attention import AttentionSegmenter
from magedit.segmenters.detector import Detected, Detector
from magedit.segmenters.sam import SamSegmenter


@dataclass(frozen=True)
class FoundMask:
    """A mask (L, 0/255) with its description."""

    picture: Image.Image
    candidate: Candidate


@dataclass(frozen=True)
class FoundMasks:
    """The candidates, best first, and their finder."""

    masks: tuple[FoundMask, ...]
    found_by: Finder
    seen: tuple[SeenThing, ...] = ()
    """Every thing that matches the words, highest confidence first."""


@dataclass(frozen=True, kw_only=True)
class Finders:
    """The available finders: a segmenter, a detector, an edit model; each may be missing."""

    segmenter: SamSegmenter | None = None
    detector: Detector | None = None
    backbone: Backbone | None = None
    attention: AttentionSegmenter | None = None
    """The edit model's attention, for points and boxes without a segmenter."""

    @classmethod
    def of(cls, backbone: Backbone, segmenter: SamSegmenter | None = None, detector: Detector | None = None) -> Self:
        """Finders for an edit model, with the segmenter and the detector if configured."""
        looking = AttentionSegmenter(backbone)
        attention = looking if segmenter is None and looking.is_able else None
        return cls(segmenter=segmenter, detector=detector, backbone=backbone, attention=attention)

    @property
    def finds_by(self) -> tuple[FindsBy, ...]:
        """The kinds of input that these finders support."""
        places = self.segmenter is not None or self.attention is not None
        by_place: tuple[FindsBy, ...] = ("points", "box") if places else ()
        return (*by_place, "words") if self.detector is not None or self.backbone is not None else by_place

    def find(self, image: Image.Image, prompt: MaskPrompt) -> FoundMasks:
        """Find the candidates for ``prompt`` in ``image`` and apply its operations.

        Raises:
            InvalidEdit: the prompt does not fit the picture (`MaskPrompt.check`), nothing or too much is found, or
                there is no suitable finder.
        """
        prompt.check(image.size)
        if prompt.needs not in self.finds_by:
            raise NoFinder(f"no model here can locate things by `{prompt.needs}`", field=prompt.needs)
        seen: tuple[SeenThing, ...] = ()
        if prompt.words is None:
            found, found_by = self._by_place(image, prompt)
        else:
            found, found_by, seen = self._by_words(image, prompt.words)
        masks = []
        for picture, score in found[:CANDIDATES_MAX]:
            try:
                changed = operate(picture, prompt, "")
            except EmptyMask as error:
                if len(found) == 1:
                    raise EmptyMask(error.message, field=(error.field or "").lstrip(".")) from error
                continue
            masks.append(FoundMask(changed, describe(changed, score, prompt.words)))
        if not masks:
            raise NothingFound("the operations leave every candidate empty", field="shrink")
        return FoundMasks(tuple(masks), found_by, seen)

    def _by_place(self, image: Image.Image, prompt: MaskPrompt) -> tuple[list[tuple[Image.Image, float]], Finder]:
        found: list[tuple[Image.Image, float]]
        found_by: Finder
        if self.segmenter is not None:
            masks = self.segmenter.segment(image, prompt.points, prompt.box)
            found, found_by = [(_picture(each.mask), each.score) for each in masks], "segmenter"
        else:
            assert self.attention is not None
            found, found_by = self.attention.segment(image, prompt.points, prompt.box), "attention"
        if not found:
            raise NothingFound(
                "nothing found there (best score 0): click elsewhere on the thing, or draw a box", field=prompt.needs
            )
        return found, found_by

    def _by_words(
        self, image: Image.Image, words: str
    ) -> tuple[list[tuple[Image.Image, float]], Finder, tuple[SeenThing, ...]]:
        if self.detector is None:
            assert self.backbone is not None
            found, seen = by_words.find(self.backbone, image, words, self.segmenter)
            return found, "attention", seen
        phrase = Phrase.read(words)
        things = self.detector.detect(image, phrase.thing)
        places = phrase.choose([thing.box for thing in things])
        masks = [self._of_thing(image, things[at]) for at in places]
        seen = tuple(
            SeenThing(box=thing.box, score=round(thing.score, 4), chosen=at in places)
            for at, thing in enumerate(things)
        )
        return [(union(masks), max(things[at].score for at in places))], "detector", seen

    def _of_thing(self, image: Image.Image, thing: Detected) -> Image.Image:
        """The mask of a detected thing: segmented within its box, or the box itself without a segmenter."""
        if self.segmenter is not None and (found := self.segmenter.segment(image, box=thing.box)):
            return _picture(found[0].mask)
        mask = Image.new("L", image.size)
        x, y, width, height = thing.box
        ImageDraw.Draw(mask).rectangle((round(x), round(y), round(x + width) - 1, round(y + height) - 1), fill=255)
        return mask


def _picture(mask: Tensor) -> Image.Image:
    return Image.fromarray(mask.numpy().astype(np.uint8) * 255)
