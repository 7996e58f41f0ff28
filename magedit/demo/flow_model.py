"""A checkpoint in Stable Diffusion 3's layout, with plain sampling loops for training and evaluation."""

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel
from diffusers.models.attention_processor import Attention
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

PADDING: Final = 256
"""Zero vectors that `StableDiffusion3Pipeline` appends to the words by default where there is no T5 encoder."""


def encode_words(
    tokenizer: CLIPTokenizer, encoders: list[CLIPTextModelWithProjection], texts: list[str]
) -> tuple[Tensor, Tensor]:
    """Token states (n, 77, d) and pooled text embeddings (n, d), concatenated over all encoders.

    As in `StableDiffusion3Pipeline`, but without the zeros that it appends in place of T5.
    """
    ids = tokenizer(
        texts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    ).input_ids
    read = [encoder(ids.to(encoder.device), output_hidden_states=True) for encoder in encoders]
    return torch.cat([one.hidden_states[-2] for one in read], -1), torch.cat([one.text_embeds for one in read], -1)


class JointAttention:
    """Unfused joint attention, which trains faster than the fused kernel on a CPU in bfloat16.

    The last key can count `times` times: the softmax over that many equal columns, at the cost of one. Equal columns
    stay equal through all blocks, because they have no position, so the output is exact.
    """

    def __init__(self, times: int = 1, record: list[Tensor] | None = None) -> None:
        self.bias = math.log(times)
        self.record = record
        """Where each call leaves the shares of attention, mean over heads: (n, keys, keys), image before words."""

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any
    ) -> tuple[Tensor, Tensor]:
        """Attention processor interface: image states (n, i, d) and text states (n, w, d)."""
        number, cells = hidden_states.shape[:2]

        def split(states: Tensor) -> Tensor:
            return states.view(number, -1, attn.heads, states.shape[-1] // attn.heads).transpose(1, 2)

        query = torch.cat(
            [
                attn.norm_q(split(attn.to_q(hidden_states))),
                attn.norm_added_q(split(attn.add_q_proj(encoder_hidden_states))),
            ],
            2,
        )
        key = torch.cat(
            [
                attn.norm_k(split(attn.to_k(hidden_states))),
                attn.norm_added_k(split(attn.add_k_proj(encoder_hidden_states))),
            ],
            2,
        )
        value = torch.cat([split(attn.to_v(hidden_states)), split(attn.add_v_proj(encoder_hidden_states))], 2)
        scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
        if self.bias:
            scores[..., -1] += self.bias
        shares = scores.softmax(-1)
        if self.record is not None:
            self.record.append(shares.mean(1))
        mixed = torch.matmul(shares, value)
        mixed = mixed.transpose(1, 2).reshape(number, value.shape[2], -1)
        words = mixed[:, cells:]
        return attn.to_out[0](mixed[:, :cells]), words if attn.context_pre_only else attn.to_add_out(words)


@dataclass(frozen=True)
class FlowModel:
    """VAE, both text encoders, transformer and scheduler in float32 on one device."""

    vae: AutoencoderKL
    tokenizer: CLIPTokenizer
    encoders: list[CLIPTextModelWithProjection]
    transformer: SD3Transformer2DModel
    scheduler: FlowMatchEulerDiscreteScheduler
    device: torch.device

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "FlowModel":
        """The checkpoint in a diffusers folder."""
        place = torch.device(device)
        encoders = [
            CLIPTextModelWithProjection.from_pretrained(folder / name, dtype=torch.float32).to(place)
            for name in ("text_encoder", "text_encoder_2")
        ]
        return cls(
            vae=AutoencoderKL.from_pretrained(folder / "vae").to(place),
            tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            encoders=encoders,
            transformer=SD3Transformer2DModel.from_pretrained(folder / "transformer").to(place),
            scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler"),
            device=place,
        )

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""
        return int(self.vae.config.sample_size)

    @torch.no_grad()
    def embed(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """See `encode_words`."""
        return encode_words(self.tokenizer, self.encoders, prompts)

    @torch.no_grad()
    def encode(self, picture: Image.Image) -> Tensor:
        """The latent of a picture of the model's size: (1, c, h, w), unit deviation."""
        array = torch.from_numpy(np.array(picture.convert("RGB")))
        pixels = array.permute(2, 0, 1)[None].contiguous().float() / 127.5 - 1
        latent: Tensor = self.vae.encode(pixels.to(self.device)).latent_dist.mean
        unit: Tensor = (latent - self.vae.config.shift_factor) * self.vae.config.scaling_factor
        return unit

    @torch.no_grad()
    def decode(self, latents: Tensor) -> list[Image.Image]:
        """Pictures of latents (n, c, h, w)."""
        pixels = self.vae.decode(latents / self.vae.config.scaling_factor + self.vae.config.shift_factor).sample
        array = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return [Image.fromarray(one) for one in array]

    @torch.no_grad()
    def velocity(self, latents: Tensor, time: float, text: tuple[Tensor, Tensor]) -> Tensor:
        """The predicted velocity, from picture to noise, at a time in [0, 1]; `text` as returned by `embed`."""
        words, pooled = text
        predicted: Tensor = self.transformer(
            latents,
            encoder_hidden_states=words,
            pooled_projections=pooled,
            timestep=latents.new_full((len(latents),), 1000 * time),
            return_dict=False,
        )[0]
        return predicted

    def times(self, steps: int) -> list[float]:
        """The times of `steps` Euler steps, from 1 (noise) to 0 (picture)."""
        self.scheduler.set_timesteps(steps)
        sigmas: list[float] = self.scheduler.sigmas.tolist()
        return sigmas

    @torch.no_grad()
    def draw(self, prompts: list[str], *, steps: int = 28, scale: float = 4.0, seed: int = 0) -> list[Image.Image]:
        """Pictures of prompts by Euler steps with classifier-free guidance."""
        side, channels = self.transformer.config.sample_size, self.transformer.config.in_channels
        noise = torch.Generator().manual_seed(seed)
        latents = torch.randn(len(prompts), channels, side, side, generator=noise).to(self.device)
        words, pooled = self.embed([""] * len(prompts) + prompts)
        times = self.times(steps)
        for time, following in pairwise(times):
            both = self.velocity(torch.cat([latents, latents]), time, (words, pooled))
            without, with_text = both.chunk(2)
            latents = latents + (following - time) * (without + scale * (with_text - without))
        return self.decode(latents)

    @torch.no_grad()
    def invert_and_redraw(self, latent: Tensor, prompt: str, *, steps: int = 28) -> tuple[Tensor, Tensor]:
        """Euler inversion of a latent and resampling, both without guidance: the noise and the reconstructed latent."""
        text, times = self.embed([prompt]), self.times(steps)
        inverted = latent
        for clearer, noisier in pairwise(reversed(times)):
            # at the noisier time, not the latent's own: the velocity of a clean latent is ill-defined
            inverted = inverted + (noisier - clearer) * self.velocity(inverted, noisier, text)
        redrawn = inverted
        for time, following in pairwise(times):
            redrawn = redrawn + (following - time) * self.velocity(redrawn, time, text)
        return inverted, redrawn

    @torch.no_grad()
    def word_maps(self, latent: Tensor, time: float, prompt: str, seed: int = 0) -> Tensor:
        """Attention of each position to each token, for a noisy version of one latent: (blocks, side, side, 77).

        Shares of attention, mean over heads; `side` counts patches.
        """
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed)).to(self.device)
        processors, record = self.transformer.attn_processors, list[Tensor]()
        self.transformer.set_attn_processor(JointAttention(record=record))
        try:
            self.velocity((1 - time) * latent + time * noise, time, self.embed([prompt]))
        finally:
            self.transformer.set_attn_processor(processors)
        side = self.transformer.config.sample_size // self.transformer.config.patch_size
        return torch.stack([shares[0, : side**2, side**2 :].view(side, side, -1) for shares in record]).cpu()
