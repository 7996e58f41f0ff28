"""The demo checkpoint's components, with plain sampling loops for training and evaluation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from magedit.backbones.base import classifier_free_guidance
from magedit.backbones.ddim import DDIM


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token ids, padded to the tokenizer's length: (n, 77)."""
    ids: Tensor = tokenizer(
        texts, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    ).input_ids
    return ids


@dataclass(frozen=True)
class DemoModel:
    """VAE, text encoder, UNet and scheduler in float32 on one device."""

    vae: AutoencoderKL
    tokenizer: CLIPTokenizer
    encoder: CLIPTextModel
    unet: UNet2DConditionModel
    scheduler: DDIMScheduler
    device: torch.device

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "DemoModel":
        """The checkpoint in a diffusers folder."""
        place = torch.device(device)
        return cls(
            vae=AutoencoderKL.from_pretrained(folder / "vae").to(place),
            tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            encoder=CLIPTextModel.from_pretrained(folder / "text_encoder").to(place),
            unet=UNet2DConditionModel.from_pretrained(folder / "unet").to(place),
            scheduler=DDIMScheduler.from_pretrained(folder / "scheduler"),
            device=place,
        )

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""
        return int(self.vae.config.sample_size)

    @torch.no_grad()
    def embed(self, prompts: list[str]) -> Tensor:
        """Text states: (n, 77, width)."""
        hidden: Tensor = self.encoder(tokenize(self.tokenizer, prompts).to(self.device)).last_hidden_state
        return hidden

    @torch.no_grad()
    def encode(self, picture: Image.Image) -> Tensor:
        """The latent of a picture of the model's size: (1, 4, h, w), unit deviation."""
        pixels = (
            torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None].contiguous().float() / 127.5 - 1
        )
        latent: Tensor = self.vae.encode(pixels.to(self.device)).latent_dist.mean
        return latent * float(self.vae.config.scaling_factor)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> list[Image.Image]:
        """Pictures of latents (n, 4, h, w)."""
        pixels = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        array = ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return [Image.fromarray(one) for one in array]

    @torch.no_grad()
    def noise(self, latents: Tensor, timestep: int, text: Tensor) -> Tensor:
        """Predicted noise of latents, conditioned on one row of text states each."""
        predicted: Tensor = self.unet(latents, timestep, text).sample
        return predicted

    @torch.no_grad()
    def draw(self, prompts: list[str], *, steps: int = 50, scale: float = 7.5, seed: int = 0) -> list[Image.Image]:
        """Pictures of prompts by DDIM with classifier-free guidance."""
        schedule = DDIM.from_scheduler(self.scheduler, steps)
        side = self.unet.config.sample_size
        noise = torch.Generator().manual_seed(seed)
        latents = torch.randn(len(prompts), 4, side, side, generator=noise).to(self.device)
        text, empty = self.embed(prompts), self.embed([""] * len(prompts))
        for timestep in schedule.timesteps:
            both = self.noise(torch.cat([latents, latents]), timestep, torch.cat([empty, text]))
            without, with_text = both.chunk(2)
            latents = schedule.step(classifier_free_guidance(without, with_text, scale), timestep, latents)
        return self.decode(latents)

    @torch.no_grad()
    def invert_and_redraw(self, latent: Tensor, prompt: str, *, steps: int = 50) -> tuple[Tensor, Tensor]:
        """DDIM inversion of a latent and resampling, both without guidance: z_T and the reconstructed latent."""
        schedule = DDIM.from_scheduler(self.scheduler, steps)
        text = self.embed([prompt])
        inverted = latent
        for timestep in reversed(schedule.timesteps):
            # evaluated at the step's own time, not at the level below: the noise of a clean latent is ill-defined
            inverted = schedule.invert_step(self.noise(inverted, timestep, text), timestep, inverted)
        redrawn = inverted
        for timestep in schedule.timesteps:
            redrawn = schedule.step(self.noise(redrawn, timestep, text), timestep, redrawn)
        return inverted, redrawn
