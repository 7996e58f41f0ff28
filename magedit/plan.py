"""From a request to what the algorithm works with, and from its steps to what is reported."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from magedit.attention import Layer
from magedit.config import EditConfig, Region
from magedit.guidance import WordTarget, resample_mask
from magedit.prompts import Encoded, token_indices
from magedit.report import Ratios


def word_targets(
    prompt: str,
    encoded: Encoded,
    regions: Sequence[Region],
    masks: Sequence[Tensor],
    layers: Sequence[Layer],
    config: EditConfig,
) -> tuple[WordTarget, ...]:
    """The words of all regions as token indices, each with its region's mask at the resolutions of ``layers``.

    Args:
        prompt: the target prompt, ``encoded`` its tokens.
        regions: checked regions (`magedit.prompts.check_edit`).
        masks: one per region, (side, side) of 0 and 1, at the working crop's size.
        layers: the guidance layers.
        config: how masks are resampled.

    Raises:
        WordNotFound: a word is no whole word of the prompt.
    """
    targets = []
    for index, (region, mask) in enumerate(zip(regions, masks, strict=True)):
        spans = {word: token_indices(prompt, encoded, word) for word in (*region.words, *region.negative_words)}
        rivals = tuple(sorted(set(range(1, len(encoded.ids) - 1)).difference(*spans.values())))
        resampled = {layer.side: resample_mask(mask, layer.side, config.mask_resampling).flatten() for layer in layers}
        for words, negative in ((region.words, False), (region.negative_words, True)):
            targets += [WordTarget(index, spans[word], resampled, region.strength, negative, rivals) for word in words]
    return tuple(targets)


def mean_ratios(steps: Sequence[Sequence[Ratios]]) -> tuple[Ratios, ...]:
    """Per region, the mean over steps."""
    return tuple(
        Ratios(
            token=sum(r.token for r in region) / len(region),
            spatial=sum(r.spatial for r in region) / len(region),
        )
        for region in zip(*steps, strict=True)
    )
