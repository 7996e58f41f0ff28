"""Common base of rectified-flow transformers with joint attention."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from PIL import Image
from torch import Tensor

from magedit.backbones.base import AttentionSite, Kept, ModuleEdit, StructureSites
from magedit.backbones.diffusers_backbone import DiffusersBackbone
from magedit.backbones.flow import RectifiedFlow
from magedit.backbones.joint_attention import MakeProcessor, editing
from magedit.errors import CheckpointError, NoGuidanceLayers, PromptTooLong


class FlowTransformer(DiffusersBackbone, DiffusionPipeline):  # type: ignore[misc]
    """Base of these families' `magedit.backbones.base.Backbone`: everything except text, positions and passes.

    A family registers ``transformer``, ``vae``, ``scheduler`` and its text encoders, and the config entries
    ``guidance_blocks``, ``guidance_step_size``, ``spatial_step_size``, ``max_sequence_length`` and ``edit_defaults``.
    """

    network_name: ClassVar[str] = "transformer"

    # --- given by a family ---

    @property
    @abstractmethod
    def make_processor(self) -> MakeProcessor:
        """The attention processor for a layer of this family under an edit."""

    @property
    @abstractmethod
    def block_names(self) -> tuple[str, ...]:
        """The attention layers' module names, one per block, in execution order."""

    @property
    @abstractmethod
    def map_side(self) -> int:
        """Side of the picture's square of positions in the transformer."""

    @property
    @abstractmethod
    def localizing_blocks(self) -> tuple[int, ...]:
        """The blocks whose maps guidance reads by default."""

    @property
    @abstractmethod
    def own_defaults(self) -> Mapping[str, Any]:
        """The family's defaults of an edit's parameters."""

    # --- derived ---

    embeddings: tuple[str, ...] = ()

    def add_embeddings(self, folder: Path) -> None:
        raise CheckpointError(
            f"the embeddings in {folder} cannot be used: textual inversion is supported for Stable Diffusion 1.x, "
            f"2.x and XL only; leave MAGEDIT_EMBEDDING_DIR empty"
        )

    @property
    def defaults(self) -> Mapping[str, Any]:
        return {"denominator": "text", **self.own_defaults, **(self.config.edit_defaults or {})}

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.transformer.context_embedder.weight.dtype
        return dtype

    @property
    def sites(self) -> tuple[AttentionSite, ...]:
        guiding, side = self.config.guidance_blocks or self.localizing_blocks, self.map_side
        return tuple(AttentionSite(name, "joint", side, n in guiding) for n, name in enumerate(self.block_names))

    @property
    def guidance_sites(self) -> tuple[AttentionSite, ...]:
        chosen = tuple(site for site in self.sites if site.guides)
        if not chosen:
            raise NoGuidanceLayers(
                f"the model has {len(self.sites)} blocks, and its guidance_blocks "
                f"{list(self.config.guidance_blocks)} match none of them (they count from 0)"
            )
        return chosen

    @property
    def structure_sites(self) -> StructureSites:
        raise CheckpointError("the model is a transformer, but PnP injects into a UNet's decoder")

    def process(self, steps: int) -> RectifiedFlow:
        return RectifiedFlow.from_scheduler(self.scheduler, steps, positions=self.map_side**2)

    # --- pictures ---

    def is_objectionable(self, picture: Image.Image) -> bool | None:
        """None: these layouts have no safety checker."""
        del picture
        return None

    # --- passes ---

    def editing(self, edits: Mapping[str, ModuleEdit], rows: int) -> AbstractContextManager[tuple[Kept, ...]]:
        return editing(self.transformer, self.sites, edits, rows, self.make_processor)

    def own_attention(self) -> AbstractContextManager[None]:
        return nullcontext()

    def one_prefix(self) -> AbstractContextManager[None]:
        return nullcontext()


def t5_states(tokenizer: Any, encoder: Any, prompt: str, length: int, device: torch.device) -> Tensor:
    """T5's states (1, length, width), fp32.

    Raises:
        PromptTooLong: the prompt has more tokens.
    """
    ids = tokenizer(prompt, padding="max_length", max_length=length, return_tensors="pt").input_ids
    if ids.shape[1] > length:
        raise PromptTooLong(
            f"the prompt has {ids.shape[1]} T5 tokens, the model accepts {length}: shorten it", field="target_prompt"
        )
    states: Tensor = encoder(ids.to(device))[0].float()
    return states
