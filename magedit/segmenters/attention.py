"""Masks from words with the edit model alone: its cross attention to them, sharpened by its self attention."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from magedit.backbones.base import AttentionSite, Backbone, frozen, reading
from magedit.errors import NothingFound
from magedit.images.masks import crop_to, working_crop
from magedit.images.transparency import flatten
from magedit.masks.phrases import Phrase
from magedit.masks.polygons import fill, outline

LEVELS: Final = (0.7, 0.6, 0.5, 0.4)
"""Where in the schedule attention is read: 1 is the cleanest of `STEPS`."""
STEPS: Final = 50
SHARPENINGS: Final = 1
"""How often the map is spread along self attention (A_self^k A_cross)."""
THRESHOLD: Final = 0.3
"""Share of the map's range from which a position belongs to the mask; with the levels and the sharpening the best of
those tried on 24 of the demo's rooms."""
LEAST: Final = 0.02
"""Least contrast of the words' share between the mask and the rest for them to count as found, 0..1."""
SMALL: Final = 0.15
"""Parts smaller than this share of the largest one are no things of their own."""


@torch.no_grad()
def heat(backbone: Backbone, image: Image.Image, words: str) -> Tensor:
    """How much attention the picture pays to ``words``, each position 0..1: (side, side) of its square.

    The square is the whole picture, its edges repeated beyond its short side. The map is the words' share of the
    attention to all tokens of a prompt of nothing else, mean over heads, layers and noise levels. A prompt of all that
    the picture shows reaches the same overlap on 14 rooms of the demo, and only with the words alone the contrast tells
    what is there (0.024 and more) from what is not (0.016 and less).
    """
    device = backbone.execution_device
    encoded = backbone.tokenize(words)
    tokens = list(encoded.named)
    square = working_crop(Image.new("L", image.size, 255), max(image.size), 0)
    latent = backbone.encode_image(crop_to(flatten(image), square, backbone.size))
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
    """The words' share of the attention to ``length`` tokens at each position, spread along self attention."""
    maps = torch.stack([kept[site.name].float().mean(0) for site in cross]).mean(0)
    share = maps[:, tokens].sum(-1) / maps[:, :length].sum(-1).clamp(min=1e-8)
    if within:
        affinity = torch.stack([kept[site.name].float().mean(0) for site in within]).mean(0)
        for _ in range(SHARPENINGS):
            share = affinity @ share
    return share


def find(backbone: Backbone, image: Image.Image, words: str) -> list[tuple[Image.Image, float]]:
    """The masks (L, 0/255) of the things that ``words`` mean, each with its contrast 0..1 in the map, the surest first.

    Args:
        backbone: the edit model.
        image: the picture.
        words: a thing, and which of several is meant (`magedit.masks.phrases`).

    Raises:
        NothingFound: attention tells no place from the others; names the best contrast.
        SeveralFound: several places are meant, and one was asked for.
    """
    phrase = Phrase.read(words)
    found = heat(backbone, image, phrase.thing)
    square = working_crop(Image.new("L", image.size, 255), max(image.size), 0)
    width, height = image.size
    extent = square[2] - square[0]
    fine = F.interpolate(found[None, None], (extent, extent), mode="bicubic", align_corners=False)[0, 0]
    fine = fine[-square[1] : height - square[1], -square[0] : width - square[0]]
    low, high = float(fine.min()), float(fine.max())
    selected = np.asarray(fine >= low + THRESHOLD * (high - low))
    contrast = _contrast(fine, selected)
    if contrast < LEAST:
        raise NothingFound(
            f"attention finds no place for {phrase.thing!r}: the best contrast is {contrast:.3f}, and {LEAST:g} counts "
            "as found"
        )
    polygons = outline(selected)
    sizes = [fill(rings, image.size).sum() for rings in polygons]
    parts = [fill(rings, image.size) for rings, size in zip(polygons, sizes, strict=True) if size >= SMALL * max(sizes)]
    boxes = [_box(part) for part in parts]
    chosen = [parts[at] for at in phrase.choose(boxes)] if phrase.chooses else [np.any(parts, axis=0)]
    return [
        (Image.fromarray(part.astype(np.uint8) * 255), min(1.0, max(0.0, _contrast(fine, part)))) for part in chosen
    ]


def _contrast(share: Tensor, selected: np.ndarray) -> float:
    inside = torch.from_numpy(selected)
    if inside.all() or not inside.any():
        return 0.0
    return float(share[inside].mean() - share[~inside].mean())


def _box(mask: np.ndarray) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(mask)
    return (
        float(columns.min()),
        float(rows.min()),
        float(columns.max() - columns.min() + 1),
        float(rows.max() - rows.min() + 1),
    )
