"""Attention of the edit model: maps of words, and masks by points and boxes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from magedit.backbones.base import AttentionSite, Backbone, frozen, reading
from magedit.images.masks import Box, crop_to, working_crop
from magedit.images.transparency import flatten
from magedit.masks.polygons import fill, outline
from magedit.masks.shapes import MaskBox, MaskPoints

LEVELS: Final = (0.7, 0.6, 0.5, 0.4)
"""Positions in the schedule at which attention is read: 1 is the cleanest of `STEPS`."""
STEPS: Final = 50
SHARPENINGS: Final = 1
"""Number of times the map is propagated through self-attention (A_self^k A_cross)."""
POINT_LEVELS: Final = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""As `LEVELS`, for points and boxes."""
POINT_THRESHOLD: Final = 0.25
"""Threshold of the mask as a share of the map's range, for points and boxes: tuned on 16 demo rooms."""
KEPT: Final = 16
"""Number of pictures in the LRU cache of attention."""


@torch.no_grad()
def heat(backbone: Backbone, image: Image.Image, words: str) -> Tensor:
    """Attention map of ``words`` over the picture's square: (side, side), in [0, 1].

    The square is the whole picture, its edges repeated beyond its short side. The map is the words' share of the
    attention to all tokens of a prompt that holds nothing else, averaged over heads, layers and noise levels. A full
    caption of the picture reaches the same overlap on 14 demo rooms, but only with the words alone does the contrast
    separate objects that are present (at least 0.024) from absent ones (at most 0.016).
    """
    device = backbone.execution_device
    encoded = backbone.tokenize(words)
    tokens = list(encoded.named)
    latent = backbone.encode_image(crop_to(flatten(image), square(image.size), backbone.size))
    process, conditioning = backbone.process(STEPS), backbone.encode(words)
    cross = backbone.guidance_sites
    side = cross[0].side
    within = [site for site in backbone.sites if site.kind == "self" and site.side == side]
    read = reading(site.name for site in (*cross, *within))
    generator = torch.Generator("cpu").manual_seed(0)
    total = torch.zeros(side * side)
    with frozen(backbone.network), backbone.own_attention():
        for level in LEVELS:
            timestep = process.timesteps[int(level * (STEPS - 1))]
            fresh = torch.randn(latent.shape, generator=generator).to(device)
            with backbone.editing(read, 1) as (kept,):
                backbone.predict(process.add_noise(latent, timestep, fresh), timestep, conditioning)
            total += _share(kept, cross, within, tokens, len(encoded.ids)).cpu()
    backbone.release()
    return (total / len(LEVELS)).reshape(side, side)


def _share(
    kept: dict[str, Tensor],
    cross: tuple[AttentionSite, ...],
    within: list[AttentionSite],
    tokens: list[int],
    length: int,
) -> Tensor:
    """The words' share of the attention to ``length`` tokens at each position, propagated through self-attention."""
    maps = torch.stack([kept[site.name].float().mean(0) for site in cross]).mean(0)
    share = maps[:, tokens].sum(-1) / maps[:, :length].sum(-1).clamp(min=1e-8)
    if within:
        affinity = torch.stack([kept[site.name].float().mean(0) for site in within]).mean(0)
        for _ in range(SHARPENINGS):
            share = affinity @ share
    return share


def contrast(share: Tensor, selected: np.ndarray) -> float:
    inside = torch.from_numpy(selected)
    if inside.all() or not inside.any():
        return 0.0
    return float(share[inside].mean() - share[~inside].mean())


class AttentionSegmenter:
    """Segments the thing under a point or in a box from the model's self-attention there. The attention of recent
    pictures is cached, so that a further click costs next to nothing."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._seen: OrderedDict[str, Tensor] = OrderedDict()

    @property
    def kept(self) -> int:
        """Number of pictures with cached attention."""
        return len(self._seen)

    @property
    def is_able(self) -> bool:
        """Whether the model has separate self-attention; models with joint attention do not."""
        return bool(_self_sites(self._backbone))

    def segment(
        self, image: Image.Image, points: MaskPoints = (), box: MaskBox | None = None
    ) -> list[tuple[Image.Image, float]]:
        """The mask (L, 0/255) for points (x, y, label) and a box (x, y, width, height), and its contrast as a share of
        the map's range, 0..1; empty if the map is flat."""
        found = self._affinity(image)
        cells = found.shape[0]
        side = round(cells**0.5)
        meant = [_cell(x, y, image.size, side) for x, y, label in points if label]
        others = [_cell(x, y, image.size, side) for x, y, label in points if not label]
        if box is not None:
            meant += _cells_within(box, image.size, side)
        share = found[meant].mean(0) - (found[others].mean(0) if others else 0.0)
        fine = enlarged(share.reshape(side, side), image.size)
        selected = above(fine, POINT_THRESHOLD)
        if box is not None:
            x, y, width, height = box
            within = fill([((x, y), (x + width, y), (x + width, y + height), (x, y + height))], image.size)
            selected &= within
        parts = [fill(rings, image.size) for rings in outline(selected)]
        clicked = [part for part in parts if any(part[int(y), int(x)] for x, y, label in points if label)]
        if not parts:
            return []
        # No part lies under a click: there is only a box, or the map's peak lies beside the click.
        mask = np.any(clicked, axis=0) if clicked else parts[0]
        spread = float(fine.max() - fine.min())
        score = contrast(fine, mask) / spread if spread > 0 else 0.0
        return [(Image.fromarray(mask.astype(np.uint8) * 255), min(1.0, max(0.0, score)))]

    def _affinity(self, image: Image.Image) -> Tensor:
        picture = flatten(image)
        name = hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()
        if name not in self._seen:
            self._seen[name] = affinity(self._backbone, picture)
            while len(self._seen) > KEPT:
                self._seen.popitem(last=False)
        self._seen.move_to_end(name)
        return self._seen[name]


@torch.no_grad()
def affinity(backbone: Backbone, image: Image.Image) -> Tensor:
    """Pairwise affinity of the positions in the picture's square, (n, n): self-attention at the resolution of the
    guidance layers, both directions added, averaged over heads, layers and noise levels."""
    sites = _self_sites(backbone)
    latent = backbone.encode_image(crop_to(image, square(image.size), backbone.size))
    process, conditioning = backbone.process(STEPS), backbone.encode("")
    generator = torch.Generator("cpu").manual_seed(0)
    total = torch.zeros(sites[0].positions, sites[0].positions)
    with frozen(backbone.network), backbone.own_attention():
        for level in POINT_LEVELS:
            timestep = process.timesteps[int(level * (STEPS - 1))]
            fresh = torch.randn(latent.shape, generator=generator).to(latent.device)
            with backbone.editing(reading(site.name for site in sites), 1) as (kept,):
                backbone.predict(process.add_noise(latent, timestep, fresh), timestep, conditioning)
            total += torch.stack([kept[site.name].float().mean(0) for site in sites]).mean(0).cpu()
    backbone.release()
    return total + total.T


def _self_sites(backbone: Backbone) -> list[AttentionSite]:
    side = backbone.guidance_sites[0].side
    return [site for site in backbone.sites if site.kind == "self" and site.side == side]


def square(size: tuple[int, int]) -> Box:
    """The square that encloses a whole picture of ``size``."""
    return working_crop(Image.new("L", size, 255), max(size), 0)


def enlarged(share: Tensor, size: tuple[int, int]) -> Tensor:
    """A map of the picture's square, resampled to the picture's pixels: (height, width)."""
    left, top, right, _ = square(size)
    extent = right - left
    fine = F.interpolate(share[None, None], (extent, extent), mode="bicubic", align_corners=False)[0, 0]
    return fine[-top : size[1] - top, -left : size[0] - left]


def above(share: Tensor, threshold: float) -> NDArray[np.bool_]:
    """The pixels above this share of the map's range."""
    low, high = float(share.min()), float(share.max())
    return np.asarray(share >= low + threshold * (high - low))


def _cell(x: float, y: float, size: tuple[int, int], side: int) -> int:
    """The position of a pixel in maps of ``side``."""
    left, top, right, _ = square(size)
    row, column = (int((at - begin) * side / (right - left)) for at, begin in ((y, top), (x, left)))
    return min(row, side - 1) * side + min(column, side - 1)


def _cells_within(box: MaskBox, size: tuple[int, int], side: int) -> list[int]:
    """The positions in the middle half of a box, which the thing most likely covers."""
    x, y, width, height = box
    places = [
        (min(max(x + width * across, 0), size[0] - 1), min(max(y + height * down, 0), size[1] - 1))
        for across in (0.3, 0.5, 0.7)
        for down in (0.3, 0.5, 0.7)
    ]
    return sorted({_cell(*place, size, side) for place in places})
