"""Presets of checkpoints in Stable Diffusion's layout."""

from collections.abc import Mapping
from typing import Final

from recipes.presets.parameters import (
    ConsistencyRecipe,
    InstructRecipe,
    Preset,
    Schedule,
    TextRecipe,
    UnetRecipe,
    VaeRecipe,
)

CPU_128: Final = Preset(
    name="cpu-128",
    seed=20,
    size=128,
    vae=VaeRecipe(
        channels=(16, 16, 32, 64),
        layers=1,
        groups=4,
        crop=64,
        schedule=Schedule(samples=47_000, batch=16, muon=0.02, adam=2e-3, warmup=800, decay=0.7),
    ),
    text=TextRecipe(
        width=64,
        layers=2,
        heads=4,
        schedule=Schedule(samples=32_000, batch=32, muon=0.01, adam=2e-3, warmup=1600),
    ),
    unet=UnetRecipe(
        channels=(64, 96),
        layers=1,
        heads=4,
        groups=8,
        pictures=24_000,
        schedule=Schedule(samples=200_000, batch=16, muon=0.01, adam=1e-3, warmup=1600, decay=0.5),
    ),
    instruct=InstructRecipe(
        pairs=9_600,
        schedule=Schedule(samples=80_000, batch=16, muon=0.005, adam=5e-4, warmup=1600, decay=0.7),
    ),
    consistency=ConsistencyRecipe(
        pictures=1_000,
        schedule=Schedule(samples=12_000, batch=8, muon=0.003, adam=4e-4, warmup=400, decay=0.6),
    ),
)

GPU_256: Final = Preset(
    name="gpu-256",
    seed=20,
    size=256,
    device="cuda",
    vae=VaeRecipe(
        channels=(32, 64, 128, 128),
        layers=1,
        groups=8,
        crop=128,
        schedule=Schedule(samples=300_000, batch=64, muon=0.02, adam=2e-3, warmup=4000, decay=0.7),
    ),
    text=TextRecipe(
        width=64,
        layers=2,
        heads=4,
        schedule=Schedule(samples=200_000, batch=128, muon=0.01, adam=2e-3, warmup=4000),
    ),
    unet=UnetRecipe(
        channels=(128, 256),
        layers=1,
        heads=4,
        groups=8,
        pictures=60_000,
        schedule=Schedule(samples=1_500_000, batch=128, muon=0.01, adam=1e-3, warmup=8000, decay=0.5),
    ),
    instruct=InstructRecipe(
        pairs=60_000,
        schedule=Schedule(samples=600_000, batch=128, muon=0.005, adam=5e-4, warmup=8000, decay=0.7),
    ),
    consistency=ConsistencyRecipe(
        pictures=60_000,
        schedule=Schedule(samples=400_000, batch=128, muon=0.002, adam=2e-4, warmup=8000, decay=0.6),
    ),
)

TOY: Final = Preset(
    name="toy",
    seed=20,
    size=64,
    snapshot_s=0.0,
    vae=VaeRecipe(
        channels=(4, 4, 8, 8),
        layers=1,
        groups=4,
        crop=32,
        schedule=Schedule(samples=64, batch=4, muon=0.02, adam=2e-3, warmup=8),
    ),
    text=TextRecipe(
        width=16, layers=1, heads=2, schedule=Schedule(samples=128, batch=8, muon=0.01, adam=2e-3, warmup=8)
    ),
    unet=UnetRecipe(
        channels=(8, 16),
        layers=1,
        heads=2,
        groups=4,
        pictures=16,
        schedule=Schedule(samples=128, batch=4, muon=0.01, adam=1e-3, warmup=8),
    ),
    instruct=InstructRecipe(pairs=12, schedule=Schedule(samples=64, batch=4, muon=0.005, adam=5e-4, warmup=8)),
    consistency=ConsistencyRecipe(pictures=16, schedule=Schedule(samples=64, batch=4, muon=0.002, adam=2e-4, warmup=8)),
)

PRESETS: Final[Mapping[str, Preset]] = {preset.name: preset for preset in (CPU_128, GPU_256, TOY)}
