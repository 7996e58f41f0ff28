"""FLUX.1 checkpoints behind the `Backbone` interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from diffusers.loaders import FluxLoraLoaderMixin
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from magedit.backbones.base import GUIDANCE, AttentionSite, Conditioning
from magedit.backbones.checkpoints.defaults import check_defaults
from magedit.backbones.checkpoints.family import KINDS
from magedit.backbones.diffusers_backbone import tokens_of
from magedit.backbones.flow_transformer import FlowTransformer, t5_states
from magedit.backbones.flux.attention import TICKS, Processor, attend_until
from magedit.backbones.joint_attention import MakeProcessor
from magedit.backbones.lora import TakesLoras
from magedit.card import Trait
from magedit.edits.checkpoint import PAPER_SCALE
from magedit.errors import CheckpointError
from magedit.prompts.alignment import Encoded

T5_TOKENS: Final = 512
"""States of T5, as `FluxPipeline` has them."""

PATCH: Final = KINDS["flux"].packed
"""Latent cells along the side of one position: the transformer takes packed latents."""

LOCALIZING: Final[Mapping[tuple[int, int], tuple[int, ...]]] = MappingProxyType({(19, 38): (11, 12, 14, 17, 18)})
"""Blocks that localise words, by the numbers of blocks of two streams and of one (arXiv 2508.07519)."""

UNGUIDED: Final = 1.0
"""Guidance scale of an inversion's passes."""

DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "steps": 28,
        "guidance_scale": 3.5,
        "flow-edit": {"guidance_scale": 5.5, "source_guidance_scale": 1.5, "skip_fraction": 4 / 28},
    }
)
"""As `FluxPipeline` samples, and FlowEdit (arXiv 2412.08629) edits."""


class Flux(TakesLoras, FluxLoraLoaderMixin, FlowTransformer):  # type: ignore[misc]
    """A `magedit.backbones.base.Backbone` of any checkpoint of FLUX.1-dev's layout.

    The text's columns are T5's; CLIP provides the pooled vector of the first 77 tokens. The guidance scale is an input
    of the transformer, so that passes have no unconditional half. Optional keys of ``model_index.json`` specific to
    this program: ``max_sequence_length``, the number of T5's columns (512), and ``guidance_blocks``,
    ``guidance_step_size``, ``spatial_step_size`` and ``edit_defaults`` as for Stable Diffusion 3.
    """

    model_cpu_offload_seq = "text_encoder->text_encoder_2->transformer->vae"
    _optional_components: ClassVar[list[str]] = ["image_encoder", "feature_extractor"]

    def __init__(
        self,
        transformer: FluxTransformer2DModel,
        scheduler: Any,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        text_encoder_2: Any,
        tokenizer_2: Any,
        image_encoder: Any = None,
        feature_extractor: Any = None,
        max_sequence_length: int = T5_TOKENS,
        guidance_blocks: Sequence[int] | None = None,
        guidance_step_size: float = PAPER_SCALE,
        spatial_step_size: float | None = None,
        edit_defaults: Mapping[str, Any] | None = None,
        domain: str | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer,
            scheduler=scheduler,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            text_encoder_2=text_encoder_2,
            tokenizer_2=tokenizer_2,
            image_encoder=image_encoder,
            feature_extractor=feature_extractor,
        )
        self.register_to_config(
            max_sequence_length=max_sequence_length,
            guidance_blocks=guidance_blocks,
            guidance_step_size=guidance_step_size,
            spatial_step_size=spatial_step_size,
            edit_defaults=edit_defaults,
            domain=domain,
        )
        if transformer.config.in_channels != PATCH**2 * vae.config.latent_channels:
            raise CheckpointError(
                f"the transformer takes {transformer.config.in_channels} channels, the VAE gives "
                f"{vae.config.latent_channels} of {PATCH} x {PATCH} cells: set MAGEDIT_VAE to a matching VAE"
            )
        check_defaults(self.defaults)
        self.process(2)

    # --- what the checkpoint is ---

    @property
    def make_processor(self) -> MakeProcessor:
        return Processor

    @property
    def traits(self) -> tuple[Trait, ...]:
        return ("flow", "joint-attention", "embedded-guidance")

    @property
    def own_defaults(self) -> Mapping[str, Any]:
        return DEFAULTS

    @property
    def latent_side(self) -> int:
        return int(self.vae.config.sample_size) // self.vae_factor

    @property
    def map_side(self) -> int:
        return self.latent_side // PATCH

    @property
    def block_names(self) -> tuple[str, ...]:
        config = self.transformer.config
        double = tuple(f"transformer_blocks.{n}.attn" for n in range(config.num_layers))
        return (*double, *(f"single_transformer_blocks.{n}.attn" for n in range(config.num_single_layers)))

    @property
    def localizing_blocks(self) -> tuple[int, ...]:
        config = self.transformer.config
        known = LOCALIZING.get((config.num_layers, config.num_single_layers))
        return known or tuple(range(config.num_layers))

    # --- text ---

    @property
    def max_tokens(self) -> int:
        return int(self.config.max_sequence_length)

    @property
    def text_columns(self) -> int:
        return self.max_tokens

    def tokenizer_json(self) -> str:
        return str(self.tokenizer_2.backend_tokenizer.to_str())

    def tokenize(self, prompt: str) -> Encoded:
        return tokens_of(self.tokenizer_2, prompt)

    @property
    def max_clip_skip(self) -> int:
        return 0

    def encode(self, prompt: str, clip_skip: int = 0) -> Conditioning:
        assert not clip_skip
        device = self.execution_device
        length = int(self.tokenizer.model_max_length)
        ids = self.tokenizer(
            prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids
        pooled = self.text_encoder(ids.to(device)).pooler_output.float()
        states = t5_states(self.tokenizer_2, self.text_encoder_2, prompt, self.max_tokens, device)
        return Conditioning(states, pooled, {GUIDANCE: torch.full((1,), UNGUIDED, device=device)})

    # --- passes ---

    def predict(self, latents: Tensor, timestep: float, conditioning: Conditioning) -> Tensor:
        output = self.transformer(**self._inputs(latents, timestep, conditioning), return_dict=False)[0]
        return _unpacked(output.float(), latents.shape[-1])

    def attend(self, latents: Tensor, timestep: float, conditioning: Conditioning, last: AttentionSite) -> None:
        attend_until(self.transformer, last.name, **self._inputs(latents, timestep, conditioning))

    def _inputs(self, latents: Tensor, timestep: float, conditioning: Conditioning) -> dict[str, Tensor]:
        """The transformer's inputs by name."""
        assert conditioning.pooled is not None
        dtype, device, rows = self.dtype, latents.device, len(latents)
        side = latents.shape[-1] // PATCH
        along = torch.arange(side, device=device)
        row, column = torch.meshgrid(along, along, indexing="ij")
        places = torch.stack([torch.zeros_like(row), row, column], -1).flatten(0, 1)
        return {
            "hidden_states": _packed(latents.to(dtype)),
            "encoder_hidden_states": conditioning.hidden_states.to(dtype),
            "pooled_projections": conditioning.pooled.to(dtype),
            "timestep": torch.full((rows,), timestep / TICKS, device=device),
            "guidance": conditioning.extra[GUIDANCE],
            "txt_ids": torch.zeros(self.text_columns, 3, device=device, dtype=dtype),
            "img_ids": places.to(dtype),
        }


def _packed(latents: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, positions, 4 C): 2 x 2 cells per position."""
    return latents.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def _unpacked(positions: Tensor, side: int) -> Tensor:
    """(B, positions, 4 C) -> (B, C, side, side)."""
    batch, _, width = positions.shape
    cells = positions.view(batch, side // PATCH, side // PATCH, width // PATCH**2, PATCH, PATCH)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(batch, -1, side, side)
