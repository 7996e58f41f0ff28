"""Checkpoints of Stable Diffusion 1.x/2.x layout behind the `Backbone` interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from transformers import CLIPTextModel, CLIPTokenizer

from magedit.backbones.base import Conditioning
from magedit.backbones.checkpoints.defaults import check_defaults
from magedit.backbones.loading import correct_size
from magedit.backbones.lora import TakesLoras
from magedit.backbones.stable_diffusion.layout import Layout, UNetBackbone, ddim_of, require_own_channels, spacing_of
from magedit.edits.checkpoint import PAPER_SCALE


class StableDiffusion(UNetBackbone, TakesLoras, StableDiffusionLoraLoaderMixin, DiffusionPipeline):  # type: ignore[misc]
    """A `magedit.backbones.base.Backbone` for any Stable Diffusion 1.x/2.x checkpoint.

    Sizes, VAE factor and prediction type are read from the checkpoint. Optional keys of its ``model_index.json``
    specific to this program: ``guidance_resolution``, the side of the cross-attention maps that guidance reads
    (default: a quarter of the latent's), ``guidance_step_size``, the default of the parameter of that name (2.5), and
    ``spatial_step_size``, the same for the spatial ratio, whose gradient may differ in magnitude (default:
    ``guidance_step_size``); the quotient of the two weighs the losses of ``both``. ``timesteps``, the spacing of a
    few-step checkpoint, ``trailing`` or ``consistency`` (default: from scheduler and UNet), and ``edit_defaults``, its
    defaults for an edit's parameters.
    """

    model_cpu_offload_seq = "text_encoder->unet->vae"
    _optional_components: ClassVar[list[str]] = ["safety_checker", "feature_extractor", "image_encoder"]
    _exclude_from_cpu_offload: ClassVar[list[str]] = ["safety_checker"]

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: UNet2DConditionModel,
        scheduler: Any,
        safety_checker: Any = None,
        feature_extractor: Any = None,
        image_encoder: Any = None,
        requires_safety_checker: bool = False,
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
            tokenizer=tokenizer,
            unet=unet,
            scheduler=ddim_of(scheduler),
            safety_checker=safety_checker,
            feature_extractor=feature_extractor,
            image_encoder=image_encoder,
        )
        self.register_to_config(
            requires_safety_checker=requires_safety_checker,
            guidance_resolution=guidance_resolution,
            guidance_step_size=guidance_step_size,
            spatial_step_size=spatial_step_size,
            timesteps=spacing_of(timesteps, scheduler, unet),
            edit_defaults=edit_defaults,
            domain=domain,
        )
        require_own_channels(unet, vae)
        check_defaults(self.defaults)

    def encode(self, prompt: str, clip_skip: int = 0) -> Conditioning:
        inputs = self.tokenizer(
            prompt, padding="max_length", max_length=self.max_tokens, truncation=False, return_tensors="pt"
        )
        encoder = self.text_encoder
        told = encoder(inputs.input_ids.to(self._execution_device), output_hidden_states=clip_skip > 0)
        states = told.last_hidden_state
        if clip_skip:
            states = getattr(encoder, "text_model", encoder).final_layer_norm(told.hidden_states[-1 - clip_skip])
        return self.told_guidance(Conditioning(states.float()))


class InstructStableDiffusion(Layout, StableDiffusionInstructPix2PixPipeline):  # type: ignore[misc]
    """A checkpoint of the same layout whose UNet takes the picture's latent as additional channels (arXiv
    2211.09800)."""

    @classmethod
    def from_pretrained(cls, checkpoint: str, **options: Any) -> Self:
        """Load it with diffusers, with or without a safety checker, and correct its size."""
        loaded: Self = super().from_pretrained(checkpoint, requires_safety_checker=False, **options)
        correct_size(loaded.unet, loaded.vae)
        return loaded
