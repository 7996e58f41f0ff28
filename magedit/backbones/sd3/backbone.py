"""Checkpoints of Stable Diffusion 3's layout behind the `Backbone` interface."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DiffusionPipeline, SD3Transformer2DModel
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from magedit.backbones.autoencoder import decode, encode
from magedit.backbones.base import AttentionSite, Conditioning, Kept, ModuleEdit, StructureSites
from magedit.backbones.defaults import check_defaults
from magedit.backbones.flow import RectifiedFlow
from magedit.backbones.sd3.attention import attend_until, editing, find_sites
from magedit.card import Trait
from magedit.edits.checkpoint import PAPER_SCALE, StepSizes
from magedit.errors import CheckpointError, NoGuidanceLayers, PromptTooLong
from magedit.prompts.alignment import Encoded

T5_TOKENS: Final = 256
"""States of T5 behind those of CLIP, as `StableDiffusion3Pipeline` has them."""

GUIDING: Final[Mapping[tuple[int, bool], tuple[int, ...]]] = MappingProxyType(
    {(24, False): (4, 5, 7, 8, 9), (24, True): (5, 7, 8, 9, 10), (38, False): (16, 18, 20, 21, 24)}
)
"""Blocks that localise words, by the number of blocks and whether some have a second attention: SD3 medium, SD3.5
medium, SD3.5 large (arXiv 2508.07519)."""

DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(
    {"steps": 28, "guidance_scale": 7.0, "flow-edit": {"guidance_scale": 13.5, "source_guidance_scale": 3.5}}
)
"""As `StableDiffusion3Pipeline` samples, and FlowEdit (arXiv 2412.08629) edits."""


class StableDiffusion3(DiffusionPipeline):  # type: ignore[misc]
    """A `magedit.backbones.base.Backbone` of any checkpoint of Stable Diffusion 3 or 3.5.

    Text columns are CLIP's 77, then T5's. Keys of ``model_index.json`` that are this program's own, all optional:
    ``max_sequence_length``, the number of T5's columns (256; 0 leaves T5 out), ``guidance_blocks``, the blocks whose
    maps guidance reads, ``guidance_step_size`` and ``spatial_step_size`` as for Stable Diffusion 1.x/2.x, and
    ``edit_defaults``, the checkpoint's own defaults of an edit's parameters (`magedit.edits.checkpoint.Checkpoint`).
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
        )
        if transformer.config.in_channels != vae.config.latent_channels:
            raise CheckpointError(
                f"the transformer takes {transformer.config.in_channels} channels, the VAE gives "
                f"{vae.config.latent_channels}: set MAGEDIT_VAE to the VAE of its kind"
            )
        self.process(2)
        check_defaults(self.defaults)

    # --- what the checkpoint is ---

    @property
    def network(self) -> Any:
        return self.transformer

    @property
    def execution_device(self) -> torch.device:
        device: torch.device = self._execution_device
        return device

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        encoders = (self.text_encoder, self.text_encoder_2, self.text_encoder_3)
        return (self.transformer, self.vae, *(each for each in encoders if each is not None))

    @property
    def noise_settings(self) -> Mapping[str, Any]:
        return {name: value for name, value in self.scheduler.config.items() if not name.startswith("_")}

    @property
    def traits(self) -> tuple[Trait, ...]:
        return ("flow", "joint-attention", "unconditional")

    @property
    def defaults(self) -> Mapping[str, Any]:
        return {**DEFAULTS, **(self.config.edit_defaults or {})}

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.transformer.context_embedder.weight.dtype
        return dtype

    @property
    def latent_side(self) -> int:
        return int(self.transformer.config.sample_size)

    @property
    def size(self) -> int:
        return self.latent_side * int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def guidance_blocks(self) -> tuple[int, ...]:
        """The blocks whose maps guidance reads; of a model that nobody has measured, all of the first half."""
        if self.config.guidance_blocks:
            return tuple(self.config.guidance_blocks)
        blocks = self.transformer.config.num_layers
        known = GUIDING.get((blocks, bool(self.transformer.config.dual_attention_layers)))
        return known or tuple(range((blocks + 1) // 2))

    @property
    def sites(self) -> tuple[AttentionSite, ...]:
        return find_sites(self.transformer, self.guidance_blocks)

    @property
    def guidance_sites(self) -> tuple[AttentionSite, ...]:
        chosen = tuple(site for site in self.sites if site.guides)
        if not chosen:
            raise NoGuidanceLayers(
                f"the model has {len(self.sites)} blocks, and its guidance_blocks {list(self.guidance_blocks)} name "
                f"none of them: they count from 0"
            )
        return chosen

    @property
    def structure_sites(self) -> StructureSites:
        raise CheckpointError("the model is a transformer: PnP injects into the decoder of a UNet")

    @property
    def step_sizes(self) -> StepSizes:
        token = self.config.guidance_step_size
        return StepSizes(token=token, spatial=self.config.spatial_step_size or token)

    # --- process and text ---

    def process(self, steps: int) -> RectifiedFlow:
        side = self.latent_side // self.transformer.config.patch_size
        return RectifiedFlow.from_scheduler(self.scheduler, steps, positions=side**2)

    @property
    def max_tokens(self) -> int:
        positions = int(self.text_encoder.config.max_position_embeddings)
        return min(int(self.tokenizer.model_max_length), positions)

    @property
    def text_columns(self) -> int:
        return self.max_tokens + int(self.config.max_sequence_length)

    def tokenizer_json(self) -> str:
        return str(self.tokenizer.backend_tokenizer.to_str())

    def tokenize(self, prompt: str) -> Encoded:
        # Both CLIPs read the same tokens into the same columns.
        parts = [_tokens(each, prompt) for each in (self.tokenizer, self.tokenizer_3) if each is not None]
        return Encoded.side_by_side(parts, [self.max_tokens, int(self.config.max_sequence_length)])

    def encode(self, prompt: str) -> Conditioning:
        device = self.execution_device
        states, pooled = [], []
        for tokenizer, encoder in ((self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2)):
            ids = tokenizer(prompt, padding="max_length", max_length=self.max_tokens, return_tensors="pt").input_ids
            output = encoder(ids.to(device), output_hidden_states=True)
            states.append(output.hidden_states[-2].float())
            pooled.append(output.text_embeds.float())
        width = int(self.transformer.config.joint_attention_dim)
        clip = torch.cat(states, -1)
        clip = F.pad(clip, (0, width - clip.shape[-1]))
        return Conditioning(torch.cat([clip, self._t5(prompt, clip)], 1), torch.cat(pooled, -1))

    def _t5(self, prompt: str, like: Tensor) -> Tensor:
        """T5's states (1, columns, width); zeros where the checkpoint has none, as diffusers' pipeline takes them."""
        length = int(self.config.max_sequence_length)
        if self.text_encoder_3 is None:
            return like.new_zeros(1, length, like.shape[-1])
        ids = self.tokenizer_3(prompt, padding="max_length", max_length=length, return_tensors="pt").input_ids
        if ids.shape[1] > length:
            raise PromptTooLong(
                f"the prompt has {ids.shape[1]} tokens of T5, the model takes {length}: shorten it",
                field="target_prompt",
            )
        states: Tensor = self.text_encoder_3(ids.to(self.execution_device))[0].float()
        return states

    # --- pictures ---

    def encode_image(self, crop: Image.Image) -> Tensor:
        return encode(self.vae, crop, self.execution_device)

    def decode(self, latent: Tensor) -> Image.Image:
        return decode(self.vae, latent)

    def is_objectionable(self, picture: Image.Image) -> bool | None:
        """None: the layout has no safety checker."""
        del picture
        return None

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
        """Of the transformer, in its order: latents, the text's states and pooled vector, timesteps."""
        assert conditioning.pooled is not None
        dtype = self.dtype
        time = torch.full((len(latents),), timestep, device=latents.device)
        return latents.to(dtype), conditioning.hidden_states.to(dtype), conditioning.pooled.to(dtype), time

    def editing(self, edits: Mapping[str, ModuleEdit], rows: int) -> AbstractContextManager[tuple[Kept, ...]]:
        return editing(self.transformer, edits, rows)

    def own_attention(self) -> AbstractContextManager[None]:
        return nullcontext()

    def one_prefix(self) -> AbstractContextManager[None]:
        return nullcontext()

    def with_network(self, network: nn.Module) -> Self:
        other = copy.copy(self)
        other.transformer = network
        return other

    def release(self) -> None:
        self.maybe_free_model_hooks()


def _tokens(tokenizer: Any, prompt: str) -> Encoded:
    encoding = tokenizer(prompt, return_offsets_mapping=True, truncation=False)
    return Encoded(tuple(encoding["input_ids"]), tuple(map(tuple, encoding["offset_mapping"])))
