"""The stages of a checkpoint in Stable Diffusion 3's layout: two text encoders, trained to tag, and a flow transformer.

Rectified flow (Liu et al. 2022, arXiv 2209.03003) with joint attention (Esser et al. 2024, arXiv 2403.03206).
"""

import math
import random
from typing import Final

import torch
import torch.nn.functional as F
from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
from torch import Tensor, nn
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from magedit.demo.captions import caption_scene, varied_caption
from magedit.demo.flow_model import PADDING, JointAttention, encode_words
from magedit.demo.scene import Scene, sample_scene, sample_varied_scene
from recipes.presets.parameters import FlowPreset, FlowRecipe, TextRecipe
from recipes.stages.text import Tagger, text_config
from recipes.stages.vae import FACTOR

VARIED: Final = 0.35
"""Share of the rooms that are drawn by `sample_varied_scene`."""


def draw_room(rng: random.Random) -> Scene:
    """A training sample."""
    return sample_varied_scene(rng) if rng.random() < VARIED else sample_scene(rng)


def flow_scene(seed: int, index: int) -> Scene:
    """The `index`-th room of the training set."""
    return draw_room(random.Random(f"{seed}/flow/{index}"))


def build_encoder(recipe: TextRecipe, tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    """An untrained text encoder with projection; the words' states come from its last layer but one."""
    return CLIPTextModelWithProjection(text_config(recipe, tokenizer))


def build_transformer(preset: FlowPreset) -> SD3Transformer2DModel:
    """An untrained transformer for this preset's pictures and words."""
    recipe = preset.flow
    words = preset.text.width + preset.second_text.width
    side = preset.size // FACTOR
    return SD3Transformer2DModel(
        sample_size=side,
        patch_size=recipe.patch,
        in_channels=preset.vae.latents,
        out_channels=preset.vae.latents,
        num_layers=recipe.layers,
        attention_head_dim=recipe.head_width,
        num_attention_heads=recipe.heads,
        joint_attention_dim=words,
        caption_projection_dim=recipe.heads * recipe.head_width,
        pooled_projection_dim=words,
        pos_embed_max_size=side // recipe.patch,
        qk_norm="rms_norm",
    )


def build_flow_scheduler(recipe: FlowRecipe) -> FlowMatchEulerDiscreteScheduler:
    """Euler steps from noise to picture, more of them where it is noisy."""
    return FlowMatchEulerDiscreteScheduler(shift=recipe.shift)


class TowersStage:
    """Cross entropy of the tags, read from the states and the pooled vectors that the transformer will see."""

    name = "towers"
    average = 0.0

    def __init__(self, preset: FlowPreset, tokenizer: CLIPTokenizer) -> None:
        self.schedule = preset.text.schedule
        self.tokenizer = tokenizer
        self.device = torch.device(preset.device)
        encoders = [build_encoder(recipe, tokenizer) for recipe in (preset.text, preset.second_text)]
        self.tagger = Tagger(encoders, preset.text.width + preset.second_text.width).to(self.device)
        self.encoders = encoders
        self.model: nn.Module = self.tagger

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        """See `Stage.loss`; logs the share of words with all tags right."""
        del progress
        rng = random.Random(seed)
        captions = [varied_caption(draw_room(rng), rng) for _ in range(self.schedule.batch)]
        states, pooled = encode_words(self.tokenizer, self.encoders, [caption.text for caption in captions])
        return self.tagger.loss(states, pooled, captions)


class FlowStage:
    """Mean squared error of the velocity at stratified logit-normal times; the text encoders learn too.

    `model` holds the trained modules: "transformer", "text_encoder" and "text_encoder_2". A part of the batches sees
    the zeros that a pipeline without T5 appends, so that the checkpoint works with and without them.
    """

    name = "flow"

    def __init__(
        self,
        preset: FlowPreset,
        tokenizer: CLIPTokenizer,
        encoders: list[CLIPTextModelWithProjection],
        latents: Tensor,
    ) -> None:
        self.preset = preset
        self.recipe = preset.flow
        self.schedule = preset.flow.schedule
        self.average = preset.flow.average
        self.device = torch.device(preset.device)
        self.tokenizer = tokenizer
        self.latents = latents
        self.transformer = build_transformer(preset)
        self.encoders = [encoder.requires_grad_(True) for encoder in encoders]
        parts = {"transformer": self.transformer, "text_encoder": encoders[0], "text_encoder_2": encoders[1]}
        self.model: nn.Module = nn.ModuleDict(parts).to(self.device)

    def time(self, share: float) -> float:
        """The time at quantile `share`, in (0, 1), of the training distribution: 0 is the picture, 1 the noise."""
        normal = math.sqrt(2) * torch.erfinv(torch.tensor(2 * share - 1, dtype=torch.float64)).item()
        return 1 / (1 + math.exp(-self.recipe.mean - self.recipe.deviation * normal))

    def velocity(self, noisy: Tensor, time: Tensor, texts: list[str], padded: bool) -> Tensor:
        """What the transformer predicts at times (n,) for latents (n, c, h, w); `padded`: with the zeros."""
        words, pooled = encode_words(self.tokenizer, self.encoders, texts)
        if padded:
            words = F.pad(words, (0, 0, 0, 1))
        self.transformer.set_attn_processor(JointAttention(PADDING if padded else 1))
        predicted: Tensor = self.transformer(
            noisy,
            encoder_hidden_states=words,
            pooled_projections=pooled,
            timestep=time * 1000,
            return_dict=False,
        )[0]
        return predicted

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        """See `Stage.loss`; logs the error at the noisier and at the clearer half of the times."""
        del progress
        rng = random.Random(seed)
        number = self.schedule.batch
        indices = [rng.randrange(len(self.latents)) for _ in range(number)]
        texts = []
        for index in indices:
            empty = rng.random() < self.recipe.empty
            texts.append("" if empty else self.caption(index, rng))
        clean = self.latents[indices].float().to(self.device)
        noise_source = torch.Generator(self.device).manual_seed(rng.getrandbits(62))
        noise = torch.randn(clean.shape, generator=noise_source, device=self.device)
        shares = [min(max((index + rng.random()) / number, 1e-5), 1 - 1e-5) for index in range(number)]
        time = torch.tensor([self.time(share) for share in shares], device=self.device)
        level = time[:, None, None, None]
        padded = rng.random() < self.recipe.padded
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            predicted = self.velocity((1 - level) * clean + level * noise, time, texts, padded)
        error = F.mse_loss(predicted.float(), noise - clean, reduction="none").mean((1, 2, 3))
        half = number // 2
        return error.mean(), {"clear": error[:half].mean().item(), "noisy": error[half:].mean().item()}

    def caption(self, index: int, rng: random.Random) -> str:
        """A newly drawn caption of a room of the training set."""
        scene = flow_scene(self.preset.seed, index)
        return (varied_caption if rng.random() < 0.6 else caption_scene)(scene, rng).text
