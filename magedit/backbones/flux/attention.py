"""Edited attention layers of `FluxTransformer2DModel`, and the truncated pass.

Blocks of two streams come first, then those of one; in both the text comes before the picture, and queries and keys
are rotated by their positions.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from magedit.backbones import joint_attention
from magedit.backbones.base import AttentionEdit, AttentionSite, Kept
from magedit.backbones.joint_attention import Projected

Rotary = tuple[Tensor, Tensor]
"""Cosines and sines of all positions, the text's first."""

TICKS = 1000
"""The transformer multiplies timesteps and guidance by this."""


def attend_until(transformer: FluxTransformer2DModel, last: str, **inputs: Any) -> None:
    """`FluxTransformer2DModel.forward` with its ``inputs``, up to the map of attention layer ``last``, which the
    surrounding `editing` keeps.

    Values are identical to those of a full pass; the model's offload hook runs. With `enable_gradient_checkpointing`
    each block is computed again in the backward pass.
    """
    hook = getattr(transformer, "_hf_hook", None)
    if hook is not None:
        hook.pre_forward(transformer)
    again = transformer.gradient_checkpointing and torch.is_grad_enabled()
    hidden = transformer.x_embedder(inputs["hidden_states"])
    told = [inputs["timestep"], *([] if inputs["guidance"] is None else [inputs["guidance"]])]
    time = transformer.time_text_embed(*(each.to(hidden.dtype) * TICKS for each in told), inputs["pooled_projections"])
    text = transformer.context_embedder(inputs["encoder_hidden_states"])
    rotary = transformer.pos_embed(torch.cat([inputs["txt_ids"], inputs["img_ids"]]))
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    block = transformer.get_submodule(last.removesuffix(".attn"))
    end = next(n for n, each in enumerate(blocks) if each is block)
    for each in blocks[:end]:
        text, hidden = (
            checkpoint(each, hidden, text, time, rotary, use_reentrant=False)
            if again
            else each(hidden, text, time, rotary)
        )
    if not isinstance(block.attn.processor, Processor):
        return
    if end < len(transformer.transformer_blocks):
        normed, normed_text = block.norm1(hidden, emb=time)[0], block.norm1_context(text, emb=time)[0]
        block.attn.processor.keep(block.attn, normed, normed_text, rotary)
    else:
        block.attn.processor.keep(block.attn, block.norm(torch.cat([text, hidden], 1), emb=time)[0], None, rotary)


class Processor:
    """Joint attention of one layer under an `AttentionEdit`."""

    def __init__(self, site: AttentionSite, edit: AttentionEdit, kept: tuple[Kept, ...]) -> None:
        self.name, self.positions, self.edit, self.kept = site.name, site.positions, edit, kept

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None,
        _mask: Tensor | None,
        image_rotary_emb: Rotary,
    ) -> Tensor | tuple[Tensor, Tensor]:
        projected = self._project(attn, hidden_states, encoder_hidden_states, image_rotary_emb)
        image, text = (
            each.transpose(1, 2).flatten(2)
            for each in joint_attention.attend(projected, self.name, self.edit, self.kept)
        )
        if encoder_hidden_states is None:
            return torch.cat([text, image], 1)
        return attn.to_out[1](attn.to_out[0](image)), attn.to_add_out(text)

    def keep(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None, rotary: Rotary) -> None:
        """Record the requested maps or pairs without computing the layer's output."""
        projected = self._project(attn, hidden_states, encoder_hidden_states, rotary)
        joint_attention.keep(projected, self.name, self.edit, self.kept)

    def _project(self, attn: Any, hidden: Tensor, text: Tensor | None, rotary: Rotary) -> Projected:
        """Queries, keys and values of picture and text, in two streams or in one."""

        def split(states: Tensor) -> Tensor:
            batch, length, _ = states.shape
            return states.view(batch, length, -1, attn.head_dim)

        query, key = attn.norm_q(split(attn.to_q(hidden))), attn.norm_k(split(attn.to_k(hidden)))
        value = split(attn.to_v(hidden))
        if text is not None:
            query = torch.cat([attn.norm_added_q(split(attn.add_q_proj(text))), query], 1)
            key = torch.cat([attn.norm_added_k(split(attn.add_k_proj(text))), key], 1)
            value = torch.cat([split(attn.add_v_proj(text)), value], 1)
        query, key = (apply_rotary_emb(each, rotary, sequence_dim=1) for each in (query, key))
        columns = query.shape[1] - self.positions
        parts = [each.transpose(1, 2) for each in (query, key, value)]
        return Projected(*(each[:, :, columns:] for each in parts), *(each[:, :, :columns] for each in parts))
