"""Parameters of a training preset: sizes, schedules, learning rates. Free of torch.

Schedules are counted in samples, not steps or seconds, so that a run of another speed, batch or number of
processes follows the same curve, and a resumed run may be given a longer one.
"""

from dataclasses import dataclass


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
