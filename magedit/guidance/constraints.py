"""Token ratio and spatial ratio: losses and measures (paper: arXiv 2312.11396, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from magedit.config import Denominator, GuidanceParameters, MaskResampling
from magedit.errors import EmptyMask
from magedit.measures.report import Ratios

RATIO_EPSILON = 1e-12
"""Keeps a ratio finite where a map is zero everywhere; far below any significant probability in fp32."""


@dataclass(frozen=True)
class WordTarget:
    """Tokens of one word, the mask in which it must win (or lose, if ``negative``), and its region's weight.

    ``masks`` maps the side of a map to the mask at that resolution, (side * side,) of 0 and 1. ``rivals`` are the
    tokens of the prompt's other words.
    """

    region: int
    tokens: tuple[int, ...]
    masks: Mapping[int, Tensor]
    weight: float = 1.0
    negative: bool = False
    rivals: tuple[int, ...] = ()


def resample_mask(mask: Tensor, side: int, how: MaskResampling) -> Tensor:
    """A mask (H, W) of 0 and 1 at (side, side).

    ``coverage`` keeps every cell that any selected pixel touches, so that no mask vanishes; ``nearest`` is the released
    program's nearest neighbour.

    Raises:
        EmptyMask: ``nearest`` misses all selected pixels, and the ratios of an empty mask are undefined.
    """
    if how == "coverage":
        return F.adaptive_max_pool2d(mask[None, None], side)[0, 0]
    resampled = (F.interpolate(mask[None, None], (side, side))[0, 0] != 0).float()
    if not resampled.any() and mask.any():
        raise EmptyMask(
            f"the mask is so thin that it vanishes at {side}x{side} with mask_resampling 'nearest': use 'coverage'"
        )
    return resampled


def token_ratio(maps: Tensor, tokens: Sequence[int], mask: Tensor, denominator: Denominator | None = None) -> Tensor:
    """v: the word's share of each position's attention, mean over the mask (paper 4.2, token ratio).

    Args:
        maps: attention to the text (heads, positions, keys); rows need not sum to 1.
        tokens: the word's key indices.
        mask: (positions,) of 0 and 1, not empty.
        denominator: of the share: ``text``, the row's sum (the default), or ``joint``, the maps as they are.

    Returns:
        (heads,), each in 0..1.
    """
    share = _columns(maps, tokens).mean(-1)
    if denominator != "joint":
        share = share / maps.sum(-1).clamp_min(RATIO_EPSILON)
    return (share * mask).sum(-1) / mask.sum().clamp_min(1)


def spatial_ratio(maps: Tensor, tokens: Sequence[int], mask: Tensor, denominator: Denominator | None = None) -> Tensor:
    """a: the share of the word's attention that lies inside the mask (paper 4.2, spatial ratio).

    Arguments and result as `token_ratio`, but that ``joint`` is the default.
    """
    word = _columns(maps, tokens).sum(-1)
    if denominator == "text":
        word = word / maps.sum(-1).clamp_min(RATIO_EPSILON)
    return (word * mask).sum(-1) / word.sum(-1).clamp_min(RATIO_EPSILON)


def _columns(maps: Tensor, tokens: Sequence[int]) -> Tensor:
    """The tokens' columns (..., tokens); those of a word lie side by side, and a slice is no copy."""
    first, last = tokens[0], tokens[-1]
    if tuple(tokens) == tuple(range(first, last + 1)):
        return maps[..., first : last + 1]
    return maps[..., list(tokens)]


def token_ratio_loss(ratio: Tensor) -> Tensor:
    """L_TR = mean over heads of (1 - v)^2."""
    return (1 - ratio).square().mean()


def spatial_ratio_loss(ratio: Tensor, lambda_: float) -> Tensor:
    """L_SR = mean over heads of lambda (1 - a) - a."""
    return (lambda_ * (1 - ratio) - ratio).mean()


def constraint_loss(
    maps: Mapping[str, Tensor], sides: Mapping[str, int], targets: Sequence[WordTarget], config: GuidanceParameters
) -> Tensor:
    """The chosen constraint, mean over layers and words; a negative word is pushed down instead of up.

    Args:
        maps: layer name -> (heads, positions, keys).
        sides: layer name -> side of its map.
        targets: the words.
        config: constraint, denominator, weights and lambda.

    Returns:
        A scalar.
    """
    # A single constraint weighs 1.
    token_weight, spatial_weight = (
        (config.token_weight, config.spatial_weight) if config.constraint == "both" else (1.0, 1.0)
    )
    terms = []
    for name, layer_maps in maps.items():
        for target in targets:
            mask = target.masks[sides[name]]
            if config.constraint != "spatial":
                ratio = token_ratio(layer_maps, target.tokens, mask, config.denominator)
                loss = token_ratio_loss(1 - ratio if target.negative else ratio)
                terms.append(target.weight * token_weight * loss)
            if config.constraint != "token":
                ratio = spatial_ratio(layer_maps, target.tokens, mask, config.denominator)
                loss = spatial_ratio_loss(1 - ratio if target.negative else ratio, config.spatial_lambda)
                terms.append(target.weight * spatial_weight * loss)
    return torch.stack(terms).sum() / (len(maps) * len(targets))


def measure(
    maps: Mapping[str, Tensor],
    sides: Mapping[str, int],
    targets: Sequence[WordTarget],
    regions: int,
    denominator: Denominator | None = None,
) -> tuple[Ratios, ...]:
    """Token and spatial ratio of each region: means over heads, layers and the region's (positive) words."""
    result = []
    for region in range(regions):
        pairs = [
            (maps[name], target, target.masks[sides[name]])
            for name in maps
            for target in targets
            if target.region == region and not target.negative
        ]
        if not pairs:
            result.append(Ratios(token=0.0, spatial=0.0))
            continue
        token = torch.stack([token_ratio(m, w.tokens, k, denominator).mean() for m, w, k in pairs]).mean()
        spatial = torch.stack([spatial_ratio(m, w.tokens, k, denominator).mean() for m, w, k in pairs]).mean()
        result.append(Ratios(token=float(token), spatial=float(spatial)))
    return tuple(result)


def have_won(
    maps: Mapping[str, Tensor],
    sides: Mapping[str, int],
    targets: Sequence[WordTarget],
    *,
    margin: float = 0.0,
    contrast: float = 0.0,
) -> bool:
    """Whether every word has won: it tops its rivals by ``margin``, or stands out by ``contrast`` (`tops_rivals`,
    `stands_out`); 0 turns a criterion off. A negative word never wins.
    """
    shares = {name: m.mean(0) / m.mean(0).sum(-1, keepdim=True).clamp_min(RATIO_EPSILON) for name, m in maps.items()}
    return all(
        not target.negative
        and (
            (contrast > 0 and stands_out(shares, sides, target, contrast))
            or (margin > 0 and tops_rivals(shares, sides, target, margin))
        )
        for target in targets
    )


def tops_rivals(shares: Mapping[str, Tensor], sides: Mapping[str, int], target: WordTarget, margin: float) -> bool:
    """Whether each token of the word has ``margin`` times the token ratio of its strongest rival inside its mask.

    ``shares``: layer name -> (positions, keys), rows sum to 1. A word without rivals never wins.
    """
    if not target.rivals:
        return False
    masks = {name: target.masks[sides[name]] for name in shares}
    ratio = torch.stack([share.T @ (masks[name] / masks[name].sum()) for name, share in shares.items()]).mean(0)
    return float(ratio[list(target.tokens)].min()) >= margin * float(ratio[list(target.rivals)].max())


def stands_out(shares: Mapping[str, Tensor], sides: Mapping[str, int], target: WordTarget, contrast: float) -> bool:
    """Whether the word's attention inside its mask is ``contrast`` times that of an equal area elsewhere.

    The outside area is where the word is strongest there: another object of the same name would attract as much
    attention outside as inside, so a word that stands out needs no guidance to find its place. ``shares`` as
    `tops_rivals`. Nothing stands out of a mask that covers everything.
    """
    inside, outside = [], []
    for name, share in shares.items():
        mask = target.masks[sides[name]] > 0
        word = _columns(share, target.tokens).mean(-1)
        area = min(int(mask.sum()), int((~mask).sum()))
        if area == 0:
            return False
        inside.append(word[mask].mean())
        outside.append(word[~mask].topk(area).values.mean())
    return float(torch.stack(inside).sum()) >= contrast * float(torch.stack(outside).sum())
