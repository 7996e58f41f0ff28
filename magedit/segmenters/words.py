"""Things found by words with the edit model's cross attention, their edges by a segmenter if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from magedit.backbones.base import Backbone
from magedit.errors import NothingFound
from magedit.masks.candidates import SeenThing
from magedit.masks.phrases import Phrase, bare
from magedit.masks.polygons import box_of, fill, outline
from magedit.prompts.tagger import base_noun
from magedit.segmenters.attention import above, contrast, enlarged, heat, square
from magedit.segmenters.sam import SamSegmenter

THRESHOLD: Final = 0.3
"""Share of the map's range from which a position belongs to the mask; with the levels and the sharpening the best of
those tried on 24 of the demo's rooms."""
LEAST: Final = 0.018
"""Least contrast of the noun's share between the things and the rest for them to count as found, 0..1."""
SMALL: Final = 0.15
"""Parts smaller than this share of the largest one are no things of their own."""
PEAKS: Final = 8
"""Most peaks of a map that are clicked, and most of its parts whose boxes are drawn."""
MORE: Final = 0.05
"""Least gain of the correlation with the map by which a further thing is taken; with `APART` the best of
those tried on 250 things of the demo's rooms."""
APART: Final = 0.3
"""Two masks are things apart if they share less than this of the smaller one."""
LIKELY: Final = 0.95
"""Share of the best fit of the qualities from which one of several things has them."""
POSSIBLE: Final = 0.85
"""As `LIKELY`, where place or number choose as well, or all are meant: like things reach it, of 60 pairs of pillows."""


def find(
    backbone: Backbone, image: Image.Image, words: str, segmenter: SamSegmenter | None = None
) -> tuple[list[tuple[Image.Image, float]], tuple[SeenThing, ...]]:
    """The masks (L, 0/255) of the things that ``words`` mean, each with its contrast 0..1 in the map, the surest first;
    and all places at which the words stand out.

    The thing is found by its noun alone: each further word spreads the edit model's attention. Its qualities choose
    among several.

    Args:
        backbone: the edit model.
        image: the picture.
        words: a thing, and which of several is meant (`magedit.masks.phrases`).
        segmenter: gives the things their edges; None: as coarse as attention is.

    Raises:
        NothingFound: attention tells no place from the others; names the best contrast.
        SeveralFound: several places are meant, and one was asked for.
    """
    phrase = Phrase.read(words)
    said = bare(phrase.thing)
    noun = _known(backbone, said)
    named = phrase.thing.replace(said, noun)
    coarse = heat(backbone, image, noun)
    fine = enlarged(coarse, image.size)
    areas = [fill(rings, image.size) for rings in outline(above(fine, THRESHOLD))]
    largest = max(area.sum() for area in areas)
    areas = [area for area in areas if area.sum() >= SMALL * largest]
    things = (_segmented(segmenter, image, coarse, areas) if segmenter else []) or areas
    best = contrast(fine, np.any(things, axis=0))
    if best < LEAST:
        raise NothingFound(
            f"no place in the picture matches {noun!r}: the best attention contrast is {best:.3f}, below the threshold "
            f"{LEAST:g}"
        )
    places: Sequence[int] = range(len(things))
    if len(things) > 1 and noun != named:
        places = _with_qualities(enlarged(heat(backbone, image, named), image.size), things, phrase)
    if phrase.chooses:
        chosen = phrase.choose([box_of(things[at]) for at in places])
        places = [places[at] for at in chosen]
        masks = [things[at] for at in places]
    else:
        masks = [np.any([things[at] for at in places], axis=0)]
    seen = tuple(
        SeenThing(box=box_of(thing), score=round(_score(fine, thing), 4), chosen=at in places)
        for at, thing in enumerate(things)
    )
    return [(Image.fromarray(mask.astype(np.uint8) * 255), _score(fine, mask)) for mask in masks], seen


def _known(backbone: Backbone, noun: str) -> str:
    """The noun in the singular if the model's tokenizer knows that better than the plural: by fewer tokens."""
    before, _, last = noun.rpartition(" ")
    singular = f"{before} {base_noun(last)}".strip()
    return min(noun, singular, key=lambda each: len(backbone.tokenize(each).named))


def _score(share: Tensor, selected: NDArray[np.bool_]) -> float:
    return min(1.0, max(0.0, contrast(share, selected)))


def _with_qualities(share: Tensor, things: Sequence[NDArray[np.bool_]], phrase: Phrase) -> list[int]:
    """Which of several things the whole phrase's map fits best."""
    fits = [float(share[torch.from_numpy(thing)].mean()) for thing in things]
    least = (POSSIBLE if phrase.chooses or phrase.every else LIKELY) * max(fits)
    return [at for at, fit in enumerate(fits) if fit >= least]


def _segmented(
    segmenter: SamSegmenter, image: Image.Image, coarse: Tensor, areas: Sequence[NDArray[np.bool_]]
) -> list[NDArray[np.bool_]]:
    """The things whose masks together correlate most with a map of the picture's square.

    A click on a peak may mean a part of a thing or what lies upon it, and an area may hold several things. So the
    segmenter is asked for the thing in the box of each: a box means a whole thing.
    """
    clicked = [each.mask.numpy() for at in _peaks(coarse, image.size) for each in segmenter.segment(image, ((*at, 1),))]
    boxes = dict.fromkeys(map(box_of, (*areas[:PEAKS], *clicked)))
    found = [each.mask for box in boxes for each in segmenter.segment(image, box=box)]
    cells = [_in_cells(mask, image.size, coarse) for mask in found]
    chosen: list[int] = []
    together, reached = torch.zeros_like(coarse), 0.0
    while left := [at for at, mask in enumerate(found) if all(_apart(mask, found[other]) for other in chosen)]:
        fits = {at: _correlation(together + cells[at], coarse) for at in left}
        best = max(left, key=fits.__getitem__)
        if fits[best] < reached + MORE:
            break
        chosen.append(best)
        together, reached = together + cells[best], fits[best]
    return [found[at].numpy() for at in chosen]


def _peaks(coarse: Tensor, size: tuple[int, int]) -> list[tuple[float, float]]:
    """The pixels (x, y) in the middle of the map's highest cells among their neighbours, the highest first."""
    around = F.max_pool2d(coarse[None, None], 3, stride=1, padding=1)[0, 0]
    is_peak = (coarse == around) & torch.from_numpy(above(coarse, THRESHOLD))
    rows, columns = torch.nonzero(is_peak, as_tuple=True)
    order = coarse[rows, columns].argsort(descending=True)[:PEAKS]
    left, top, right, _ = square(size)
    cell = (right - left) / len(coarse)
    return [
        (min(max(left + (column + 0.5) * cell, 0), size[0] - 1), min(max(top + (row + 0.5) * cell, 0), size[1] - 1))
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True)
    ]


def _in_cells(mask: Tensor, size: tuple[int, int], coarse: Tensor) -> Tensor:
    """How much of each cell of the picture's square a mask (height, width) covers, its edges repeated: as the map."""
    left, top, right, bottom = square(size)
    around = (-left, right - size[0], -top, bottom - size[1])
    whole = F.pad(mask[None, None].float(), around, mode="replicate")
    return F.interpolate(whole, coarse.shape, mode="area")[0, 0]


def _apart(one: Tensor, other: Tensor) -> bool:
    return float((one & other).sum()) < APART * float(min(one.sum(), other.sum()))


def _correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's, of two maps; 0 where one of them is constant."""
    return float(F.cosine_similarity((one - one.mean()).flatten(), (other - other.mean()).flatten(), dim=0))
