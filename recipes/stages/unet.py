"""The UNet stage: noise prediction on precomputed latents; the text encoder is trained with it."""

import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from magedit.demo.captions import Style, caption_scene
from magedit.demo.model import tokenize
from magedit.demo.scene import Scene, sample_scene, sample_twin_scene
from recipes.presets.parameters import Preset, UnetRecipe
from recipes.stages.vae import FACTOR, LATENT_CHANNELS

NOISY_SNR = 0.5
"""Signal-to-noise ratio below which a time step counts as noisy (`UnetRecipe.noisy`)."""
TWINS = 0.35
"""Share of the training rooms with two objects of one class."""
SHORT = 0.25
"""Share of the captions that name one to four objects."""


def build_unet(recipe: UnetRecipe, size: int, width: int, in_channels: int = LATENT_CHANNELS) -> UNet2DConditionModel:
    """An untrained UNet for pictures of `size` pixels and text states of `width`."""
    blocks = len(recipe.channels)
    return UNet2DConditionModel(
        sample_size=size // FACTOR,
        in_channels=in_channels,
        out_channels=LATENT_CHANNELS,
        block_out_channels=recipe.channels,
        down_block_types=("CrossAttnDownBlock2D",) * blocks,
        up_block_types=("CrossAttnUpBlock2D",) * blocks,
        layers_per_block=recipe.layers,
        cross_attention_dim=width,
        attention_head_dim=recipe.heads,  # diffusers' name for the number of heads
        norm_num_groups=recipe.groups,
    )


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        set_alpha_to_one=False,
        clip_sample=False,
    )


def training_scene(seed: int, index: int) -> Scene:
    """The `index`-th room of the training set."""
    rng = random.Random(f"{seed}/picture/{index}")
    return sample_twin_scene(rng) if rng.random() < TWINS else sample_scene(rng)


def training_caption(scene: Scene, rng: random.Random) -> str:
    """A caption of a training room, sometimes of a few objects only, as in the prompts of edits."""
    return caption_scene(scene, rng, Style(told=rng.randint(1, 4) if rng.random() < SHORT else None)).text


@dataclass(frozen=True, kw_only=True)
class Examples:
    """A training batch."""

    latents: Tensor
    """The target: (n, 4, h, w)."""
    texts: list[str]
    beside: Tensor | None = None
    """Further input channels, never noisy: (n, c, h, w)."""


class UnetStage:
    """Min-SNR weighted epsilon prediction, stratified time steps, empty captions for guidance-free passes.

    `model` holds the modules that are trained: "unet" and "text_encoder".
    """

    name = "unet"

    def __init__(self, preset: Preset, tokenizer: CLIPTokenizer, encoder: CLIPTextModel, latents: Tensor) -> None:
        self.preset = preset
        self.recipe = preset.unet
        self.schedule = preset.unet.schedule
        self.average = preset.unet.average
        self.device = torch.device(preset.device)
        self.tokenizer = tokenizer
        self.latents = latents
        self.alphas = build_scheduler().alphas_cumprod.to(self.device)
        self.noisy_from = int((self.alphas / (1 - self.alphas) >= NOISY_SNR).sum())
        self.unet = self.build()
        self.encoder = encoder.requires_grad_(preset.unet.tune_text)
        self.model: nn.Module = nn.ModuleDict({"unet": self.unet, "text_encoder": encoder}).to(self.device)

    def build(self) -> UNet2DConditionModel:
        """An untrained UNet."""
        return build_unet(self.recipe, self.preset.size, self.preset.text.width)

    def examples(self, rng: random.Random) -> Examples:
        """Rooms and captions, some of them empty."""
        indices = [rng.randrange(len(self.latents)) for _ in range(self.schedule.batch)]
        texts = [
            "" if rng.random() < self.recipe.empty else training_caption(training_scene(self.preset.seed, index), rng)
            for index in indices
        ]
        return Examples(latents=self.latents[indices].float(), texts=texts)

    def timestep(self, share: float) -> int:
        """The time step at quantile `share`, in [0, 1), of the training distribution."""
        clear = 1 - self.recipe.noisy
        if share < clear:
            return int(share / clear * self.noisy_from)
        return self.noisy_from + int((share - clear) / self.recipe.noisy * (len(self.alphas) - self.noisy_from))

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        """See `Stage.loss`; logs the unweighted error beside the weighted loss."""
        del progress
        rng = random.Random(seed)
        number = self.schedule.batch
        examples = self.examples(rng)
        context = self.encoder(tokenize(self.tokenizer, examples.texts).to(self.device)).last_hidden_state
        clean = examples.latents.to(self.device)
        noise_source = torch.Generator(self.device).manual_seed(rng.getrandbits(62))
        noise = torch.randn(clean.shape, generator=noise_source, device=self.device)
        time = torch.tensor([self.timestep((index + rng.random()) / number) for index in range(number)])
        time = time.to(self.device)
        alpha = self.alphas[time][:, None, None, None]
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        if examples.beside is not None:
            noisy = torch.cat([noisy, examples.beside.to(self.device)], 1)
        predicted = self.unet(noisy, time, context).sample
        error = F.mse_loss(predicted, noise, reduction="none").mean((1, 2, 3))
        alpha = alpha.flatten()
        snr = alpha / (1 - alpha)
        weight = snr.clamp(max=self.recipe.gamma) / snr * alpha**-self.recipe.tilt
        return (error * weight).mean(), {"error": error.mean().item()}
