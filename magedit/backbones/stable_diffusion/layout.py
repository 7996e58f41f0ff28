"""Common base of checkpoints with Stable Diffusion's UNet."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, get_args

import torch
from diffusers import DDIMScheduler
from PIL import Image
from torch import Tensor

from magedit.backbones.autoencoder import is_objectionable
from magedit.backbones.base import GUIDANCE, AttentionSite, Conditioning, Kept, ModuleEdit, StructureSites, sites_at
from magedit.backbones.checkpoints.spacing import Spacing, spacing_told
from magedit.backbones.ddim import DDIM
from magedit.backbones.diffusers_backbone import DiffusersBackbone, tokens_of
from magedit.backbones.embeddings import TextPart, add_embeddings
from magedit.backbones.loading import correct_size
from magedit.backbones.stable_diffusion.attention import editing, find_sites, own_attention
from magedit.backbones.stable_diffusion.guidance_embedding import guidance_embedding
from magedit.backbones.stable_diffusion.prefix_cache import one_prefix
from magedit.backbones.stable_diffusion.structure import structure_sites
from magedit.backbones.stable_diffusion.truncated import attend_until
from magedit.card import STABLE_DIFFUSION, Trait
from magedit.errors import CheckpointError
from magedit.prompts.alignment import Encoded

GUIDANCE_DIVISOR = 4
"""Guidance reads the maps at 1/4 of the latent's resolution (paper 4.2: 16 of 64), unless the checkpoint says else."""


class Layout(DiffusersBackbone):
    """Facts from the components of this layout, for any diffusers pipeline."""

    network_name: ClassVar[str] = "unet"

    unet: Any
    embeddings: tuple[str, ...] = ()

    @property
    def text_parts(self) -> tuple[TextPart, ...]:
        """Each tokenizer with its text encoder."""
        return ((self.tokenizer, self.text_encoder),)

    def add_embeddings(self, folder: Path) -> None:
        if self.embeddings:
            raise CheckpointError("it already has embeddings: put all files into one folder")
        self.embeddings = add_embeddings(self.text_parts, folder)

    @property
    def traits(self) -> tuple[Trait, ...]:
        return STABLE_DIFFUSION

    @property
    def defaults(self) -> Mapping[str, Any]:
        return {}

    @property
    def latent_side(self) -> int:
        size = self.unet.config.sample_size
        return int(size if isinstance(size, int) else size[0])

    @property
    def text_columns(self) -> int:
        return self.max_tokens

    @property
    def max_clip_skip(self) -> int:
        return int(self.text_encoder.config.num_hidden_layers) - 1

    def tokenize(self, prompt: str) -> Encoded:
        return tokens_of(self.tokenizer, prompt)

    def is_objectionable(self, picture: Image.Image) -> bool | None:
        return is_objectionable(self, picture, self.execution_device)


class UNetBackbone(Layout):
    """The part of a `magedit.backbones.base.Backbone` that does not depend on the text encoders."""

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
    def noise_settings(self) -> Mapping[str, Any]:
        return {**super().noise_settings, **({"timesteps": self.spacing} if self.is_few_step else {})}

    @property
    def spacing(self) -> Spacing:
        """Spacing of an edit's timesteps."""
        spacing: Spacing = self.config.timesteps
        return spacing

    @property
    def is_few_step(self) -> bool:
        """Whether the checkpoint was distilled to sample in a few steps."""
        return self.spacing != "leading"

    @property
    def embedded_width(self) -> int | None:
        """Width of the UNet's guidance embedding; None: the UNet has none."""
        width: int | None = self.unet.config.time_cond_proj_dim
        return width

    @property
    def traits(self) -> tuple[Trait, ...]:
        guidance: Trait = "embedded-guidance" if self.embedded_width else "unconditional"
        own: tuple[Trait, ...] = ("few-step",) if self.is_few_step else ()
        return (*(each for each in STABLE_DIFFUSION if each != "unconditional"), guidance, *own)

    @property
    def defaults(self) -> Mapping[str, Any]:
        own: Mapping[str, Any] = self.config.edit_defaults or {}
        if not self.is_few_step:
            return own
        return {"guidance_scale": EMBEDDED_SCALE if self.embedded_width else DISTILLED_SCALE, **FEW_STEPS, **own}

    # --- process and text ---

    def process(self, steps: int) -> DDIM:
        return DDIM.from_scheduler(self.scheduler, steps, self.spacing)

    # --- passes ---

    def added(self, _conditioning: Conditioning, /) -> dict[str, Tensor] | None:
        """The UNet's additional conditioning, in its number format; None: there is none."""
        return None

    def predict(self, latents: Tensor, timestep: float, conditioning: Conditioning) -> Tensor:
        states = conditioning.hidden_states.to(self.dtype)
        output: Tensor = self.unet(
            latents.to(self.dtype),
            timestep,
            states,
            timestep_cond=self._guidance(conditioning),
            added_cond_kwargs=self.added(conditioning),
            return_dict=False,
        )[0]
        return output.float()

    def attend(self, latents: Tensor, timestep: float, conditioning: Conditioning, last: AttentionSite) -> None:
        states = conditioning.hidden_states.to(self.dtype)
        told = self.added(conditioning), self._guidance(conditioning)
        attend_until(self.unet, latents.to(self.dtype), timestep, states, last.name, *told)

    def told_guidance(self, conditioning: Conditioning) -> Conditioning:
        """The same with a guidance scale, initially 1, if the UNet takes one."""
        if self.embedded_width is None:
            return conditioning
        states = conditioning.hidden_states
        return replace(conditioning, extra={**conditioning.extra, GUIDANCE: states.new_ones(len(states))})

    def _guidance(self, conditioning: Conditioning) -> Tensor | None:
        """The embedding of the guidance scale, in the UNet's number format; None: the UNet has none."""
        width = self.embedded_width
        return None if width is None else guidance_embedding(conditioning.extra[GUIDANCE], width).to(self.dtype)

    def editing(self, edits: Mapping[str, ModuleEdit], rows: int) -> AbstractContextManager[tuple[Kept, ...]]:
        return editing(self.unet, edits, rows)

    def own_attention(self) -> AbstractContextManager[None]:
        return own_attention(self.unet)

    def one_prefix(self) -> AbstractContextManager[None]:
        return one_prefix(self.unet)


FEW_STEPS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "steps": 8,
        "mag-edit": {"inversion": "virtual", "max_iterations": 95, "gradient_tolerance": 1.0},
        "p2p": {"inversion": "virtual"},
        "pnp": {"inversion": "virtual"},
    }
)
"""Defaults of a few-step checkpoint without its own. Nothing is inverted, and the total number of guidance updates is
that of more steps."""

EMBEDDED_SCALE, DISTILLED_SCALE = 3.0, 1.0
"""Its guidance scale as an input, and with guidance distilled into it."""


def spacing_of(timesteps: str | None, scheduler: Any, unet: Any) -> Spacing:
    """The spacing of timesteps from the checkpoint's own key, else from its scheduler and UNet.

    Raises:
        CheckpointError: the key names an unknown spacing.
    """
    known: dict[str, Spacing] = {each: each for each in get_args(Spacing)}
    if timesteps is not None:
        if timesteps not in known:
            raise CheckpointError(f"its timesteps (model_index.json) are {timesteps!r}: use one of {', '.join(known)}")
        return known[timesteps]
    return spacing_told(type(scheduler).__name__, scheduler.config, unet.config)


def ddim_of(scheduler: Any) -> DDIMScheduler:
    """The DDIM scheduler that the algorithm is defined on, with the checkpoint's betas (SD 1.x ships PNDM)."""
    return DDIMScheduler.from_config(
        scheduler.config, clip_sample=False, set_alpha_to_one=False, timestep_spacing="leading"
    )


def require_own_channels(unet: Any, vae: Any) -> None:
    """Check that the UNet takes only the VAE's latent, and correct its size.

    Raises:
        CheckpointError: it takes more.
    """
    if unet.config.in_channels != vae.config.latent_channels:
        raise CheckpointError(
            f"the UNet takes {unet.config.in_channels} channels, the VAE gives {vae.config.latent_channels}: "
            f"inpainting, depth and upscaling checkpoints are not supported"
        )
    correct_size(unet, vae)
