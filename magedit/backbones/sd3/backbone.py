"""Stable Diffusion 3 checkpoints behind the `Backbone` interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, SD3Transformer2DModel
from diffusers.loaders import SD3LoraLoaderMixin
from torch import Tensor
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from magedit.backbones.base import AttentionSite, Conditioning
from magedit.backbones.checkpoints.defaults import check_defaults
from magedit.backbones.diffusers_backbone import tokens_of
from magedit.backbones.flow_transformer import FlowTransformer, t5_states
from magedit.backbones.joint_attention import MakeProcessor
from magedit.backbones.lora import TakesLoras
from magedit.backbones.sd3.attention import Processor, attend_until
from magedit.card import Trait
from magedit.edits.checkpoint import PAPER_SCALE
from magedit.errors import CheckpointError
from magedit.prompts.alignment import Encoded

T5_TOKENS: Final = 256
"""States of T5 behind those of CLIP, as `StableDiffusion3Pipeline` has them."""

PENULTIMATE: Final = -2
"""The CLIPs' states that the transformer was trained on: those before the last layer."""

LOCALIZING: Final[Mapping[tuple[int, bool], tuple[int, ...]]] = MappingProxyType(
    {(24, False): (4, 5, 7, 8, 9), (24, True): (5, 7, 8, 9, 10), (38, False): (16, 18, 20, 21, 24)}
)
"""Blocks that localise words, by the number of blocks and whether some have a second attention: SD3 medium, SD3.5
medium, SD3.5 large (arXiv 2508.07519)."""

DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(
    {"steps": 28, "guidance_scale": 7.0, "flow-edit": {"guidance_scale": 13.5, "source_guidance_scale": 3.5}}
)
"""As `StableDiffusion3Pipeline` samples, and FlowEdit (arXiv 2412.08629) edits."""


class StableDiffusion3(TakesLoras, SD3LoraLoaderMixin, FlowTransformer):  # type: ignore[misc]
    """A `magedit.backbones.base.Backbone` of any checkpoint of Stable Diffusion 3 or 3.5.

    Text columns are CLIP's 77, then T5's. Optional keys of ``model_index.json`` specific to this program:
    ``max_sequence_length``, the number of T5's columns (256; 0 leaves T5 out), ``guidance_blocks``, the blocks whose
    maps guidance reads, ``guidance_step_size`` and ``spatial_step_size`` as for Stable Diffusion 1.x/2.x, and
    ``edit_defaults``, the checkpoint's defaults for an edit's parameters (`magedit.edits.checkpoint.Checkpoint`).
    """

    model_cpu_offload_seq = "text_encoder->text_encoder_2->text_encoder_3->transformer->vae"
    _optional_components: ClassVar[list[str]] = ["text_encoder_3", "tokenizer_3", "image_encoder", "feature_extractor"]

    def __init__(
        self,
        transformer: SD3Transformer2DModel,
        scheduler: Any,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModelWithProjection,
        tokenizer: CLIPTokenizer,
        text_encoder_2: CLIPTextModelWithProjection,
        tokenizer_2: CLIPTokenizer,
        text_encoder_3: Any = None,
        tokenizer_3: Any = None,
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
        if max_sequence_length == 0 or tokenizer_3 is None:
            text_encoder_3 = tokenizer_3 = None
        self.register_modules(
            transformer=transformer,
            scheduler=scheduler,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            text_encoder_2=text_encoder_2,
            tokenizer_2=tokenizer_2,
            text_encoder_3=text_encoder_3,
            tokenizer_3=tokenizer_3,
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
        if transformer.config.in_channels != vae.config.latent_channels:
            raise CheckpointError(
                f"the transformer takes {transformer.config.in_channels} channels, the VAE gives "
                f"{vae.config.latent_channels}: set MAGEDIT_VAE to a matching VAE"
            )
        self.process(2)
        check_defaults(self.defaults)

    # --- what the checkpoint is ---

    @property
    def make_processor(self) -> MakeProcessor:
        return Processor

    @property
    def traits(self) -> tuple[Trait, ...]:
        return ("flow", "joint-attention", "unconditional")

    @property
    def own_defaults(self) -> Mapping[str, Any]:
        return DEFAULTS

    @property
    def latent_side(self) -> int:
        return int(self.transformer.config.sample_size)

    @property
    def map_side(self) -> int:
        return self.latent_side // int(self.transformer.config.patch_size)

    @property
    def block_names(self) -> tuple[str, ...]:
        return tuple(f"transformer_blocks.{n}.attn" for n in range(self.transformer.config.num_layers))

    @property
    def localizing_blocks(self) -> tuple[int, ...]:
        blocks = self.transformer.config.num_layers
        known = LOCALIZING.get((blocks, bool(self.transformer.config.dual_attention_layers)))
        return known or tuple(range((blocks + 1) // 2))

    # --- text ---

    @property
    def text_columns(self) -> int:
        return self.max_tokens + int(self.config.max_sequence_length)

    def tokenize(self, prompt: str) -> Encoded:
        # Both CLIPs read the same tokens into the same columns.
        parts = [tokens_of(each, prompt) for each in (self.tokenizer, self.tokenizer_3) if each is not None]
        return Encoded.side_by_side(parts, [self.max_tokens, int(self.config.max_sequence_length)])

    @property
    def max_clip_skip(self) -> int:
        return (
            min(int(each.config.num_hidden_layers) for each in (self.text_encoder, self.text_encoder_2)) + PENULTIMATE
        )

    def encode(self, prompt: str, clip_skip: int = 0) -> Conditioning:
        device, length = self.execution_device, int(self.config.max_sequence_length)
        states, pooled = [], []
        for tokenizer, encoder in ((self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2)):
            ids = tokenizer(prompt, padding="max_length", max_length=self.max_tokens, return_tensors="pt").input_ids
            output = encoder(ids.to(device), output_hidden_states=True)
            states.append(output.hidden_states[PENULTIMATE - clip_skip].float())
            pooled.append(output.text_embeds.float())
        clip = torch.cat(states, -1)
        clip = F.pad(clip, (0, int(self.transformer.config.joint_attention_dim) - clip.shape[-1]))
        # Zeros where the checkpoint has no T5, as diffusers' pipeline takes them.
        t5 = clip.new_zeros(1, length, clip.shape[-1])
        if self.text_encoder_3 is not None:
            t5 = t5_states(self.tokenizer_3, self.text_encoder_3, prompt, length, device)
        return Conditioning(torch.cat([clip, t5], 1), torch.cat(pooled, -1))

    # --- passes ---

    def predict(self, latents: Tensor, timestep: float, conditioning: Conditioning) -> Tensor:
        output: Tensor = self.transformer(*self._inputs(latents, timestep, conditioning), return_dict=False)[0].float()
        return output

    def attend(self, latents: Tensor, timestep: float, conditioning: Conditioning, last: AttentionSite) -> None:
        sample, states, pooled, time = self._inputs(latents, timestep, conditioning)
        attend_until(self.transformer, sample, time, states, pooled, last.name)

    def _inputs(
        self, latents: Tensor, timestep: float, conditioning: Conditioning
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The transformer's inputs in order: latents, text states, pooled vector, timesteps."""
        assert conditioning.pooled is not None
        dtype = self.dtype
        time = torch.full((len(latents),), timestep, device=latents.device)
        return latents.to(dtype), conditioning.hidden_states.to(dtype), conditioning.pooled.to(dtype), time
