"""What checkpoints with Stable Diffusion's UNet have in common, whatever their text encoders."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Self

import torch
from diffusers import DDIMScheduler
from PIL import Image
from torch import Tensor, nn

from magedit.backbones.autoencoder import decode, encode, is_objectionable
from magedit.backbones.base import AttentionSite, Conditioning, Kept, ModuleEdit, StructureSites, sites_at
from magedit.backbones.ddim import DDIM
from magedit.backbones.loading import correct_size
from magedit.backbones.stable_diffusion.attention import editing, find_sites, own_attention
from magedit.backbones.stable_diffusion.prefix_cache import one_prefix
from magedit.backbones.stable_diffusion.structure import structure_sites
from magedit.backbones.stable_diffusion.truncated import attend_until
from magedit.card import STABLE_DIFFUSION, Trait
from magedit.edits.checkpoint import StepSizes
from magedit.errors import CheckpointError
from magedit.prompts.alignment import Encoded

GUIDANCE_DIVISOR = 4
"""Guidance reads the maps at 1/4 of the latent's resolution (paper 4.2: 16 of 64), unless the checkpoint says else."""


class Layout:
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

    def tokenize(self, prompt: str) -> Encoded:
        encoding = self.tokenizer(prompt, return_offsets_mapping=True, truncation=False)
        return Encoded(tuple(encoding["input_ids"]), tuple(map(tuple, encoding["offset_mapping"])))

    def encode_image(self, crop: Image.Image) -> Tensor:
        return encode(self.vae, crop, self.execution_device)

    def decode(self, latent: Tensor) -> Image.Image:
        return decode(self.vae, latent)

    def is_objectionable(self, picture: Image.Image) -> bool | None:
        return is_objectionable(self, picture, self.execution_device)


class UNetBackbone(Layout):
    """The part of a `magedit.backbones.base.Backbone` that does not depend on the text encoders."""

    config: Any
    maybe_free_model_hooks: Any

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

    # --- passes ---

    def added(self, _conditioning: Conditioning, /) -> dict[str, Tensor] | None:
        """What the UNet is told beside the hidden states, in its number format; None: nothing."""
        return None

    def predict(self, latents: Tensor, timestep: float, conditioning: Conditioning) -> Tensor:
        states = conditioning.hidden_states.to(self.dtype)
        output: Tensor = self.unet(
            latents.to(self.dtype), timestep, states, added_cond_kwargs=self.added(conditioning), return_dict=False
        )[0]
        return output.float()

    def attend(self, latents: Tensor, timestep: float, conditioning: Conditioning, last: AttentionSite) -> None:
        states = conditioning.hidden_states.to(self.dtype)
        attend_until(self.unet, latents.to(self.dtype), timestep, states, last.name, self.added(conditioning))

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


def ddim_of(scheduler: Any) -> DDIMScheduler:
    """The scheduler that the algorithm is defined on, with the betas of the checkpoint's own (SD 1.x ships PNDM)."""
    return DDIMScheduler.from_config(
        scheduler.config, clip_sample=False, set_alpha_to_one=False, timestep_spacing="leading"
    )


def require_own_channels(unet: Any, vae: Any) -> None:
    """Check that the UNet takes the VAE's latent and nothing else, and correct its size.

    Raises:
        CheckpointError: it takes more.
    """
    if unet.config.in_channels != vae.config.latent_channels:
        raise CheckpointError(
            f"the UNet takes {unet.config.in_channels} channels, the VAE gives {vae.config.latent_channels}: "
            "inpainting, depth and upscaling checkpoints cannot be edited with"
        )
    correct_size(unet, vae)
