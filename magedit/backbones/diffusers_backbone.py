"""Backbone members derived from diffusers' components."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from PIL import Image
from torch import Tensor, nn

from magedit.backbones.autoencoder import decode, encode
from magedit.edits.checkpoint import StepSizes, closed_vocabulary
from magedit.prompts.alignment import Encoded


class DiffusersBackbone:
    """Base of a `magedit.backbones.base.Loaded` that wraps a diffusers pipeline.

    ``network_name`` is the component name of the denoiser.
    """

    network_name: ClassVar[str]

    vae: Any
    scheduler: Any
    tokenizer: Any
    text_encoder: Any
    config: Any
    embeddings: tuple[str, ...]
    name_or_path: str | None
    maybe_free_model_hooks: Any
    _execution_device: torch.device

    @property
    def network(self) -> Any:
        return getattr(self, self.network_name)

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        names = (self.network_name, "vae", "text_encoder", "text_encoder_2", "text_encoder_3")
        return tuple(each for name in names if (each := getattr(self, name, None)) is not None)

    @property
    def execution_device(self) -> torch.device:
        return self._execution_device

    @property
    def noise_settings(self) -> Mapping[str, Any]:
        # Without diffusers' own entries: source path and version.
        return {name: value for name, value in self.scheduler.config.items() if not name.startswith("_")}

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        words = closed_vocabulary(self.name_or_path) if self.name_or_path else None
        return None if words is None else (*words, *self.embeddings)

    @property
    def vae_factor(self) -> int:
        """Pixels per latent cell."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    @abstractmethod
    def latent_side(self) -> int: ...

    @property
    def size(self) -> int:
        return self.latent_side * self.vae_factor

    @property
    def step_sizes(self) -> StepSizes:
        token = self.config.guidance_step_size
        return StepSizes(token=token, spatial=self.config.spatial_step_size or token)

    @property
    def max_tokens(self) -> int:
        # CLIP's: of the first text encoder.
        positions = int(self.text_encoder.config.max_position_embeddings)
        return min(int(self.tokenizer.model_max_length), positions)

    def tokenizer_json(self) -> str:
        return str(self.tokenizer.backend_tokenizer.to_str())

    def encode_image(self, crop: Image.Image) -> Tensor:
        return encode(self.vae, crop, self.execution_device)

    def decode(self, latent: Tensor) -> Image.Image:
        return decode(self.vae, latent)

    def with_network(self, network: nn.Module) -> Self:
        other = copy.copy(self)
        setattr(other, self.network_name, network)
        return other

    def release(self) -> None:
        self.maybe_free_model_hooks()


def tokens_of(tokenizer: Any, prompt: str) -> Encoded:
    """A tokenizer's tokens of ``prompt``, neither padded nor truncated."""
    encoding = tokenizer(prompt, return_offsets_mapping=True, truncation=False)
    return Encoded(tuple(encoding["input_ids"]), tuple(map(tuple, encoding["offset_mapping"])))
