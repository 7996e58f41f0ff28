"""Presets of segmenters in SAM's layout."""

from collections.abc import Mapping
from typing import Final

from recipes.presets.parameters import Schedule, SegmenterPreset, SegmenterRecipe

SEGMENTER_128: Final = SegmenterPreset(
    name="segmenter-128",
    seed=29,
    size=128,
    segmenter=SegmenterRecipe(
        width=128,
        layers=6,
        heads=4,
        patch=8,
        decoder_width=96,
        prompts=4,
        bfloat16=True,
        schedule=Schedule(samples=33_000, batch=8, muon=0.015, adam=2e-3, warmup=800, decay=0.7),
    ),
)

SEGMENTER_TOY: Final = SegmenterPreset(
    name="segmenter-toy",
    seed=29,
    size=64,
    snapshot_s=0.0,
    segmenter=SegmenterRecipe(
        width=16,
        layers=1,
        heads=2,
        patch=8,
        decoder_width=16,
        prompts=2,
        schedule=Schedule(samples=32, batch=4, muon=0.01, adam=1e-3, warmup=8),
    ),
)

SEGMENTER_PRESETS: Final[Mapping[str, SegmenterPreset]] = {
    preset.name: preset for preset in (SEGMENTER_128, SEGMENTER_TOY)
}
