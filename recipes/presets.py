"""Presets of the training recipes: sizes, schedules, learning rates [torch-free].

Schedules are counted in samples, not steps or seconds, so that a run of another speed, batch or number of
processes follows the same curve, and a resumed run may be given a longer one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Learning rates over a stage: linear warm-up, flat, then linear decay."""

    samples: int
    """Length of the stage, in samples over all processes."""
    batch: int
    """Samples per step and process."""
    muon: float
    """Learning rate of Muon (hidden matrices), in units of the update's spectral norm."""
    adam: float
    """Learning rate of Adam (first and last layers, embeddings, norms, biases)."""
    warmup: int = 500
    """Samples of linear warm-up."""
    decay: float = 0.5
    """Share of the stage, at its end, over which the rate falls linearly."""
    floor: float = 0.03
    """The rate at the end, as a share of the flat one."""


@dataclass(frozen=True, kw_only=True)
class VaeRecipe:
    """AutoencoderKL: trained on aligned crops first, on whole pictures in the last `whole` of the stage."""

    channels: tuple[int, ...]
    layers: int
    groups: int
    schedule: Schedule
    crop: int
    """Side of the crops in pixels, a multiple of the VAE factor."""
    whole: float = 0.25
    """Share of the stage, at its end, on whole pictures (batches of the same number of pixels)."""
    kl: float = 1e-4
    """Weight of the KL term (mean over latent elements) beside L1 + 2 MSE."""
    latents: int = 4
    """Channels of the latent."""
    attention: bool = True
    """Whether the middle blocks attend over all cells; without, a VAE trained on crops suits pictures of any size."""
    bfloat16: bool = False
    """Whether convolutions compute in bfloat16 (weights stay float32)."""


@dataclass(frozen=True, kw_only=True)
class TextRecipe:
    """CLIPTextModel, trained to tag captions."""

    width: int
    layers: int
    heads: int
    schedule: Schedule


@dataclass(frozen=True, kw_only=True)
class UnetRecipe:
    """UNet2DConditionModel with cross attention in every block; epsilon prediction."""

    channels: tuple[int, ...]
    layers: int
    heads: int
    groups: int
    schedule: Schedule
    pictures: int
    """Pictures whose latents are computed beforehand and drawn from at random."""
    empty: float = 0.1
    """Share of empty captions, for classifier-free guidance."""
    gamma: float = 5.0
    """Min-SNR weight: min(SNR, gamma) / SNR (Hang et al. 2023, section 3.4)."""
    noisy: float = 0.67
    """Share of the samples at time steps with an SNR below 0.5, which decide the layout; 0.54 of all steps are."""
    tilt: float = 0.3
    """The weight is multiplied by alpha_bar to the power of -tilt. 0: error of the noise, 1: of v (Salimans & Ho 2022,
    appendix D); between them, layout counts more than with the one and surfaces more than with the other."""
    tune_text: bool = True
    """Whether the text encoder, trained to tag, is trained further with the UNet."""
    average: float = 0.998
    """Decay of the exponential moving average of the weights, per step."""


@dataclass(frozen=True, kw_only=True)
class InstructRecipe:
    """The UNet fine-tuned to edit by instruction (Brooks et al. 2023, arXiv 2211.09800, section 3.2)."""

    schedule: Schedule
    pairs: int
    """Pairs of a room before and after an edit, each of which is read in both directions."""
    dropped: float = 0.05
    """Share of the samples without instruction, without picture, and without both, each (section 3.2.1)."""
    short: float = 0.3
    """Share of the instructions that name an object by its class alone."""


@dataclass(frozen=True, kw_only=True)
class ConsistencyRecipe:
    """The UNet distilled for few steps (Luo et al. 2023, arXiv 2310.04378)."""

    schedule: Schedule
    pictures: int
    """Pictures whose latents are computed beforehand and drawn from at random."""
    steps: int = 16
    """DDIM steps of the teacher, whose timesteps are the student's."""
    guidance: tuple[float, float] = (1.0, 9.0)
    """Guidance scales of the teacher: drawn uniformly between these, and an input of the student."""
    embedding: int = 256
    """Width of the guidance embedding (published program: 256)."""
    average: float = 0.99
    """Decay of the exponential moving average of the weights, per step."""


@dataclass(frozen=True, kw_only=True)
class FlowRecipe:
    """SD3Transformer2DModel with two CLIP text encoders: rectified flow (Esser et al. 2024, arXiv 2403.03206)."""

    layers: int
    heads: int
    head_width: int
    patch: int
    schedule: Schedule
    pictures: int
    """Pictures whose latents are computed beforehand and drawn from at random."""
    empty: float = 0.1
    """Share of empty captions, for classifier-free guidance."""
    padded: float = 0.5
    """Share of the batches with the zeros that a pipeline without T5 encoder appends to the words."""
    mean: float = 0.8
    """Mean of the times' logit: above 0, more of them are noisy (section 3.1, logit-normal sampling)."""
    deviation: float = 1.2
    """Standard deviation of the times' logit."""
    shift: float = 3.0
    """Shift of the scheduler's time steps (section 5.3.2)."""
    average: float = 0.999
    """Decay of the exponential moving average of the weights, per step."""
    bfloat16: bool = False
    """Whether matrix products compute in bfloat16 (weights stay float32)."""


@dataclass(frozen=True, kw_only=True)
class FlowPreset:
    """The recipe of a checkpoint in Stable Diffusion 3's layout."""

    name: str
    seed: int
    size: int
    """Side of the pictures in pixels."""
    vae: VaeRecipe
    text: TextRecipe
    """The first text encoder, and the schedule on which both learn to tag."""
    second_text: TextRecipe
    """The second text encoder; its schedule is not used."""
    flow: FlowRecipe
    device: str = "cpu"
    snapshot_s: float = 120.0
    """Seconds between two snapshots of the training state."""


@dataclass(frozen=True, kw_only=True)
class SegmenterRecipe:
    """SamModel, trained with clicks and boxes on rooms."""

    width: int
    """Width of the image encoder."""
    layers: int
    heads: int
    patch: int
    """Side of a token in pixels; masks have four cells a token and axis."""
    decoder_width: int
    """Of the prompts' encoder and the masks' decoder."""
    prompts: int
    """Clicks, series of clicks and boxes a room, each: they share one pass of the encoder."""
    schedule: Schedule
    bfloat16: bool = False
    """Whether matrices are multiplied in bfloat16 (weights stay float32)."""
    average: float = 0.995
    """Decay of the exponential moving average of the weights, per step."""


@dataclass(frozen=True, kw_only=True)
class SegmenterPreset:
    """The recipe of a segmenter in SAM's layout."""

    name: str
    seed: int
    size: int
    """Side of the pictures in pixels."""
    segmenter: SegmenterRecipe
    device: str = "cpu"
    snapshot_s: float = 120.0
    """Seconds between two snapshots of the training state."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One whole recipe."""

    name: str
    seed: int
    size: int
    """Side of the pictures in pixels."""
    vae: VaeRecipe
    text: TextRecipe
    unet: UnetRecipe
    instruct: InstructRecipe
    consistency: ConsistencyRecipe
    device: str = "cpu"
    snapshot_s: float = 60.0
    """Seconds between two snapshots of the training state."""


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

FLOW_PRESETS: Final[Mapping[str, FlowPreset]] = {preset.name: preset for preset in (FLOW_256, FLOW_TOY)}

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
