"""Presets of checkpoints in Stable Diffusion 3's layout."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from recipes.presets.parameters import FlowPreset, FlowRecipe, Schedule, TextRecipe, VaeRecipe

_TAGGING = Schedule(samples=40_000, batch=32, muon=0.01, adam=2e-3, warmup=1600)

FLOW_256: Final = FlowPreset(
    name="flow-256",
    seed=23,
    size=256,
    vae=VaeRecipe(
        channels=(16, 16, 32, 64),
        layers=1,
        groups=4,
        crop=64,
        whole=0.12,
        kl=2e-4,
        latents=8,
        attention=False,
        bfloat16=True,
        schedule=Schedule(samples=140_000, batch=16, muon=0.02, adam=2e-3, warmup=800, decay=0.8),
    ),
    text=TextRecipe(width=64, layers=3, heads=4, schedule=_TAGGING),
    second_text=TextRecipe(width=32, layers=2, heads=2, schedule=_TAGGING),
    flow=FlowRecipe(
        layers=6,
        heads=4,
        head_width=32,
        patch=2,
        pictures=8_000,
        bfloat16=True,
        schedule=Schedule(samples=400_000, batch=16, muon=0.01, adam=1e-3, warmup=1600, decay=0.4),
    ),
)

FLOW_256_GPU: Final = replace(
    FLOW_256,
    name="flow-256-gpu",
    device="cuda",
    flow=replace(
        FLOW_256.flow,
        pictures=16_000,
        average=0.998,
        schedule=Schedule(samples=105_472, batch=128, muon=0.01, adam=1e-3, warmup=19_200, decay=0.8),
    ),
)
"""For a GPU: large batches, as the shipped checkpoint was trained at last."""

_TOY_TAGGING = Schedule(samples=64, batch=8, muon=0.01, adam=2e-3, warmup=8)

FLOW_TOY: Final = FlowPreset(
    name="flow-toy",
    seed=23,
    size=64,
    snapshot_s=0.0,
    vae=VaeRecipe(
        channels=(4, 4, 8, 8),
        layers=1,
        groups=4,
        crop=32,
        latents=8,
        attention=False,
        schedule=Schedule(samples=64, batch=4, muon=0.02, adam=2e-3, warmup=8),
    ),
    text=TextRecipe(width=16, layers=2, heads=2, schedule=_TOY_TAGGING),
    second_text=TextRecipe(width=8, layers=2, heads=2, schedule=_TOY_TAGGING),
    flow=FlowRecipe(
        layers=2,
        heads=2,
        head_width=8,
        patch=2,
        pictures=16,
        schedule=Schedule(samples=64, batch=4, muon=0.01, adam=1e-3, warmup=8),
    ),
)

FLOW_PRESETS: Final[Mapping[str, FlowPreset]] = {preset.name: preset for preset in (FLOW_256, FLOW_256_GPU, FLOW_TOY)}
