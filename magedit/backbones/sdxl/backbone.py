"""Checkpoints of Stable Diffusion XL (Podell et al., arXiv 2307.01952) behind the `Backbone` interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from diffusers.loaders import StableDiffusionXLLoraLoaderMixin
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from magedit.backbones.autoencoder import upcast
from magedit.backbones.base import AttentionSite, Conditioning
from magedit.backbones.checkpoints.defaults import check_defaults
from magedit.backbones.embeddings import TextPart
from magedit.backbones.lora import TakesLoras
from magedit.backbones.stable_diffusion.layout import UNetBackbone, ddim_of, require_own_channels, spacing_of
from magedit.edits.checkpoint import PAPER_SCALE
from magedit.errors import CheckpointError

PENULTIMATE = -2
"""The text encoders' states that the UNet was trained on: those before the last layer (2307.01952, table 1)."""


class StableDiffusionXL(UNetBackbone, TakesLoras, StableDiffusionXLLoraLoaderMixin, DiffusionPipeline):  # type: ignore[misc]
    """A `magedit.backbones.base.Backbone` of any checkpoint of Stable Diffusion XL.

    Size conditioning describes a crop as an uncropped picture of the checkpoint's size. Program-specific keys are those
    of `magedit.backbones.stable_diffusion.backbone.StableDiffusion`; guidance reads the 32x32 maps of a 128 latent.
    """

    model_cpu_offload_seq = "text_encoder->text_encoder_2->unet->vae"
    _optional_components: ClassVar[list[str]] = ["safety_checker", "feature_extractor", "image_encoder"]
    _exclude_from_cpu_offload: ClassVar[list[str]] = ["safety_checker"]

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        text_encoder_2: CLIPTextModelWithProjection,
        tokenizer: CLIPTokenizer,
        tokenizer_2: CLIPTokenizer,
        unet: UNet2DConditionModel,
        scheduler: Any,
        safety_checker: Any = None,
        feature_extractor: Any = None,
        image_encoder: Any = None,
        force_zeros_for_empty_prompt: bool = True,
        add_watermarker: bool | None = None,
        guidance_resolution: int | None = None,
        guidance_step_size: float = PAPER_SCALE,
        spatial_step_size: float | None = None,
        timesteps: str | None = None,
        edit_defaults: Mapping[str, Any] | None = None,
        domain: str | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            text_encoder_2=text_encoder_2,
            tokenizer=tokenizer,
            tokenizer_2=tokenizer_2,
            unet=unet,
            scheduler=ddim_of(scheduler),
            safety_checker=safety_checker,
            feature_extractor=feature_extractor,
            image_encoder=image_encoder,
        )
        self.register_to_config(
            force_zeros_for_empty_prompt=force_zeros_for_empty_prompt,
            add_watermarker=add_watermarker,
            guidance_resolution=guidance_resolution,
            guidance_step_size=guidance_step_size,
            spatial_step_size=spatial_step_size,
            timesteps=spacing_of(timesteps, scheduler, unet),
            edit_defaults=edit_defaults,
            domain=domain,
        )
        require_own_channels(unet, vae)
        check_defaults(self.defaults)
        # The states of both encoders lie side by side in the maps' columns.
        if tokenizer.get_vocab() != tokenizer_2.get_vocab():
            raise CheckpointError(
                "the checkpoint's two tokenizers have different vocabularies, so words have no common columns: use "
                "the base model's tokenizers"
            )

    @property
    def sites(self) -> tuple[AttentionSite, ...]:
        # A map of 1024 positions in 20 heads takes 80 MiB in fp32, and there are 60 of them.
        return tuple(replace(site, paired=site.kind == "self") for site in super().sites)

    @property
    def max_tokens(self) -> int:
        positions = int(self.text_encoder_2.config.max_position_embeddings)
        return min(super().max_tokens, int(self.tokenizer_2.model_max_length), positions)

    # --- VAE ---

    def encode_image(self, crop: Image.Image) -> Tensor:
        with upcast(self.vae):
            return super().encode_image(crop)

    def decode(self, latent: Tensor) -> Image.Image:
        with upcast(self.vae):
            return super().decode(latent)

    # --- text ---

    @property
    def text_parts(self) -> tuple[TextPart, ...]:
        return (self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2)

    @property
    def max_clip_skip(self) -> int:
        return min(int(encoder.config.num_hidden_layers) for _, encoder in self.text_parts) + PENULTIMATE

    def encode(self, prompt: str, clip_skip: int = 0) -> Conditioning:
        told = [self._encode(prompt, *part) for part in self.text_parts]
        states = torch.cat([each.hidden_states[PENULTIMATE - clip_skip] for each in told], dim=-1).float()
        pooled = told[-1].text_embeds.float()
        if not prompt and self.config.force_zeros_for_empty_prompt:
            states, pooled = torch.zeros_like(states), torch.zeros_like(pooled)
        side = float(self.size)
        sizes = torch.tensor([[side, side, 0.0, 0.0, side, side]], device=states.device)
        return self.told_guidance(Conditioning(states, pooled, {"time_ids": sizes}))

    def _encode(self, prompt: str, tokenizer: Any, encoder: Any) -> Any:
        inputs = tokenizer(
            prompt, padding="max_length", max_length=self.max_tokens, truncation=False, return_tensors="pt"
        )
        return encoder(inputs.input_ids.to(self._execution_device), output_hidden_states=True)

    def added(self, conditioning: Conditioning, /) -> dict[str, Tensor]:
        assert conditioning.pooled is not None
        return {
            "text_embeds": conditioning.pooled.to(self.dtype),
            "time_ids": conditioning.extra["time_ids"].to(self.dtype),
        }
