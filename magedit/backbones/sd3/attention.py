"""Edited attention layers of `SD3Transformer2DModel`, and the truncated pass."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from magedit.backbones import joint_attention
from magedit.backbones.base import AttentionEdit, AttentionSite, Kept
from magedit.backbones.joint_attention import Projected


def attend_until(
    transformer: SD3Transformer2DModel, latents: Tensor, timestep: Tensor, states: Tensor, pooled: Tensor, last: str
) -> None:
    """`SD3Transformer2DModel.forward` up to the map of attention layer ``last``, kept by the surrounding `editing`.
    Values are identical to those of a full pass. With `enable_gradient_checkpointing` each block is computed again in
    the backward pass.

    Args:
        transformer: the model; its offload hook runs.
        latents: (B, C, h, w), in the model's dtype.
        timestep: (B,), 0..1000.
        states: (B, tokens, width) of the text.
        pooled: (B, width) of the text.
        last: the layer's module name.
    """
    hook = getattr(transformer, "_hf_hook", None)
    if hook is not None:
        hook.pre_forward(transformer)
    again = transformer.gradient_checkpointing and torch.is_grad_enabled()
    hidden = transformer.pos_embed(latents).contiguous()
    time = transformer.time_text_embed(timestep, pooled)
    text = transformer.context_embedder(states)
    end = int(last.split(".")[1])
    for block in transformer.transformer_blocks[:end]:
        text, hidden = (
            checkpoint(block, hidden, text, time, use_reentrant=False) if again else block(hidden, text, time)
        )
    block = transformer.transformer_blocks[end]
    normed = block.norm1(hidden, emb=time)[0]
    # The last block drops the text, and its norm gives no gates.
    normed_text = block.norm1_context(text, time) if block.context_pre_only else block.norm1_context(text, emb=time)[0]
    if isinstance(block.attn.processor, Processor):
        block.attn.processor.keep(block.attn, normed, normed_text)


class Processor:
    """Joint attention of one layer under an `AttentionEdit`."""

    def __init__(self, site: AttentionSite, edit: AttentionEdit, kept: tuple[Kept, ...]) -> None:
        self.name, self.edit, self.kept = site.name, edit, kept

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any
    ) -> tuple[Tensor, Tensor]:
        projected = _project(attn, hidden_states, encoder_hidden_states)
        image, text = (
            each.transpose(1, 2).flatten(2)
            for each in joint_attention.attend(projected, self.name, self.edit, self.kept)
        )
        return attn.to_out[1](attn.to_out[0](image)), text if attn.context_pre_only else attn.to_add_out(text)

    def keep(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor) -> None:
        """Record the requested maps or pairs without computing the layer's output."""
        joint_attention.keep(_project(attn, hidden_states, encoder_hidden_states), self.name, self.edit, self.kept)


def _project(attn: Any, image: Tensor, text: Tensor) -> Projected:
    def split(states: Tensor, norm: Any = None) -> Tensor:
        batch, length, _ = states.shape
        heads: Tensor = states.view(batch, length, attn.heads, -1).transpose(1, 2)
        return heads if norm is None else norm(heads)

    return Projected(
        split(attn.to_q(image), attn.norm_q),
        split(attn.to_k(image), attn.norm_k),
        split(attn.to_v(image)),
        split(attn.add_q_proj(text), attn.norm_added_q),
        split(attn.add_k_proj(text), attn.norm_added_k),
        split(attn.add_v_proj(text)),
    )
