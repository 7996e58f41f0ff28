"""Checkpoints of Stable Diffusion 1.x/2.x layout behind the `Backbone` interface."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Self

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from magedit.backbones.autoencoder import decode, encode, is_objectionable
from magedit.backbones.base import (
    AttentionSite,
    Conditioning,
    Kept,
    ModuleEdit,
    StructureSites,
    sites_at,
)
from magedit.backbones.ddim import DDIM
from magedit.backbones.loading import correct_size
from magedit.backbones.stable_diffusion.attention import editing, find_sites, own_attention
from magedit.backbones.stable_diffusion.prefix_cache import one_prefix
from magedit.backbones.stable_diffusion.structure import structure_sites
from magedit.backbones.stable_diffusion.truncated import attend_until
from magedit.card import STABLE_DIFFUSION, Trait
from magedit.edits.checkpoint import PAPER_SCALE, StepSizes
from magedit.errors import CheckpointError
from magedit.prompts.alignment import Encoded

GUIDANCE_DIVISOR = 4
"""Guidance reads the maps at 1/4 of the latent's resolution (paper 4.2: 16 of 64), unless the checkpoint says else."""


class _Layout:
    """What the components of this layout say of themselves, whichever of diffusers' pipelines holds them."""

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any
    _execution_device: Any

    @property
    def network(self) -> Any:
        return self.unet

    @property
    def execution_device(self) -> torch.device:
        device: torch.device = self._execution_device
        return device

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        return self.unet, self.vae, self.text_encoder

    @property
    def noise_settings(self) -> Mapping[str, Any]:
        # Without what diffusers notes for itself: where it was loaded from, and by which version.
        return {name: value for name, value in self.scheduler.config.items() if not name.startswith("_")}

    @property
    def traits(self) -> tuple[Trait, ...]:
        return STABLE_DIFFUSION

    @property
    def defaults(self) -> Mapping[str, Any]:
        return {}

    @property
    def vae_factor(self) -> int:
        """Pixels per latent cell."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def latent_side(self) -> int:
        size = self.unet.config.sample_size
        return int(size if isinstance(size, int) else size[0])

    @property
    def size(self) -> int:
        return self.latent_side * self.vae_factor

    @property
    def max_tokens(self) -> int:
        positions = int(self.text_encoder.config.max_position_embeddings)
        return min(int(self.tokenizer.model_max_length), positions)

    @property
    def text_columns(self) -> int:
        return self.max_tokens

    def tokenizer_json(self) -> str:
        return str(self.tokenizer.backend_tokenizer.to_str())

    def encode_image(self, crop: Image.Image) -> Tensor:
        return encode(self.vae, crop, self.execution_device)

    def decode(self, latent: Tensor) -> Image.Image:
        return decode(self.vae, latent)

    def is_objectionable(self, picture: Image.Image) -> bool | None:
        return is_objectionable(self, picture, self.execution_device)


class StableDiffusion(_Layout, DiffusionPipeline):  # type: ignore[misc]
    """A `magedit.backbones.base.Backbone` of any checkpoint of Stable Diffusion 1.x/2.x.

    Sizes, VAE factor and prediction type are read from the checkpoint. Three keys of its ``model_index.json`` are this
    program's own, all optional: ``guidance_resolution``, the side of the cross-attention maps that guidance reads
    (default: a quarter of the latent's), ``guidance_step_size``, the default of the parameter of that name (2.5), and
    ``spatial_step_size``, the same for the spatial ratio, whose gradient may be of quite another size (default:
    ``guidance_step_size``); the quotient of the two weighs the losses of ``both``.
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
    ) -> None:
        super().__init__()
        # The algorithm is defined on DDIM; SD 1.x ships PNDM with the same betas.
        scheduler = DDIMScheduler.from_config(
            scheduler.config, clip_sample=False, set_alpha_to_one=False, timestep_spacing="leading"
        )
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            safety_checker=safety_checker,
            feature_extractor=feature_extractor,
            image_encoder=image_encoder,
        )
        self.register_to_config(
            requires_safety_checker=requires_safety_checker,
            guidance_resolution=guidance_resolution,
            guidance_step_size=guidance_step_size,
            spatial_step_size=spatial_step_size,
        )
        if unet.config.in_channels != vae.config.latent_channels:
            raise CheckpointError(
                f"the UNet takes {unet.config.in_channels} channels, the VAE gives {vae.config.latent_channels}: "
                "inpainting, depth and upscaling checkpoints cannot be edited with"
            )
        correct_size(unet, vae)

    # --- what the checkpoint is ---

    @property
    def dtype(self) -> torch.dtype:
        # diffusers' own property looks at every module, which costs as much as a layer.
        dtype: torch.dtype = self.unet.conv_in.weight.dtype
        return dtype

    @property
    def guidance_side(self) -> int:
        """Side of the cross-attention maps that guidance reads."""
        return int(self.config.guidance_resolution or self.latent_side // GUIDANCE_DIVISOR)

    @property
    def sites(self) -> tuple[AttentionSite, ...]:
        return find_sites(self.unet, self.latent_side)

    @property
    def guidance_sites(self) -> tuple[AttentionSite, ...]:
        return sites_at(self.sites, self.guidance_side)

    @property
    def structure_sites(self) -> StructureSites:
        return structure_sites(self.unet, self.sites)

    @property
    def step_sizes(self) -> StepSizes:
        token = self.config.guidance_step_size
        return StepSizes(token=token, spatial=self.config.spatial_step_size or token)

    # --- process and text ---

    def process(self, steps: int) -> DDIM:
        return DDIM.from_scheduler(self.scheduler, steps)

    def tokenize(self, prompt: str) -> Encoded:
        encoding = self.tokenizer(prompt, return_offsets_mapping=True, truncation=False)
        return Encoded(tuple(encoding["input_ids"]), tuple(map(tuple, encoding["offset_mapping"])))

    def encode(self, prompt: str) -> Conditioning:
        inputs = self.tokenizer(
            prompt, padding="max_length", max_length=self.max_tokens, truncation=False, return_tensors="pt"
        )
        return Conditioning(self.text_encoder(inputs.input_ids.to(self._execution_device))[0].float())

    # --- passes ---

    def predict(self, latents: Tensor, timestep: float, conditioning: Conditioning) -> Tensor:
        states = conditioning.hidden_states.to(self.dtype)
        output: Tensor = self.unet(latents.to(self.dtype), timestep, states, return_dict=False)[0].float()
        return output

    def attend(self, latents: Tensor, timestep: float, conditioning: Conditioning, last: AttentionSite) -> None:
        states = conditioning.hidden_states.to(self.dtype)
        attend_until(self.unet, latents.to(self.dtype), timestep, states, last.name)

    def editing(self, edits: Mapping[str, ModuleEdit], rows: int) -> AbstractContextManager[tuple[Kept, ...]]:
        return editing(self.unet, edits, rows)

    def own_attention(self) -> AbstractContextManager[None]:
        return own_attention(self.unet)

    def one_prefix(self) -> AbstractContextManager[None]:
        return one_prefix(self.unet)

    def with_network(self, network: nn.Module) -> Self:
        other = copy.copy(self)
        other.unet = network
        return other

    def release(self) -> None:
        self.maybe_free_model_hooks()


class InstructStableDiffusion(_Layout, StableDiffusionInstructPix2PixPipeline):  # type: ignore[misc]
    """A checkpoint of the same layout whose UNet takes the picture's latent as further channels (arXiv 2211.09800)."""

    @classmethod
    def from_pretrained(cls, checkpoint: str, **options: Any) -> Self:
        """As diffusers loads it, with or without a safety checker, and its size corrected."""
        loaded: Self = super().from_pretrained(checkpoint, requires_safety_checker=False, **options)
        correct_size(loaded.unet, loaded.vae)
        return loaded
