"""A truncated UNet pass that ends at the last attention map needed.

Guidance differentiates maps, not noise, so layers after the last map are neither computed nor differentiated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from magedit.backbones.stable_diffusion.attention import keep_map

_LAYER = re.compile(
    r"^(?P<block>.+)\.attentions\.(?P<index>\d+)\.transformer_blocks\.(?P<inner>\d+)\.attn(?P<kind>[12])$"
)


def attend_until(
    unet: UNet2DConditionModel,
    sample: Tensor,
    timestep: float,
    embedding: Tensor,
    last: str,
    added: Mapping[str, Tensor] | None = None,
    guidance: Tensor | None = None,
) -> None:
    """`UNet2DConditionModel.forward` of Stable Diffusion's layout up to the map of attention layer ``last``.

    Maps are kept by the surrounding `editing` context (`attention`), the last one without its layer's output. Values
    are identical to those of a full pass. With `enable_gradient_checkpointing` each resnet and transformer is
    recomputed in the backward pass.

    Args:
        unet: the model; its offload hook runs.
        sample: (B, C, h, w), in the UNet's dtype; h and w divide by its total down-sampling.
        timestep: 0..999.
        embedding: (B, tokens, width).
        last: the layer's module name.
        added: the pooled embedding and time ids of SDXL, as diffusers takes them.
        guidance: the embedding of the guidance scale (B, width), of a UNet that takes one.

    Raises:
        ValueError: ``last`` is not an attention layer of this UNet.
    """
    place = _LAYER.match(last)
    if place is None:
        raise ValueError(f"{last!r} is not an attention layer: use a name from find_sites")
    end = (unet.get_submodule(place["block"]), int(place["index"]))
    # Model offload moves the UNet to the device in this hook, which calling the module would run.
    hook = getattr(unet, "_hf_hook", None)
    if hook is not None:
        hook.pre_forward(unet)
    time = unet.time_embedding(unet.get_time_embed(sample=sample, timestep=timestep), guidance)
    if added is not None:
        time = time + unet.get_aug_embed(emb=time, encoder_hidden_states=embedding, added_cond_kwargs=added)
    # diffusers' own property asks every module, which costs as much as a layer.
    again = unet.down_blocks[0].gradient_checkpointing and torch.is_grad_enabled()

    def run(module: Any, *inputs: Tensor) -> Tensor:
        result = checkpoint(module, *inputs, use_reentrant=False) if again else module(*inputs)
        output: Tensor = result if isinstance(result, Tensor) else result[0]
        return output

    def attend(block: Any, index: int, hidden: Tensor) -> Tensor:
        def forward(states: Tensor) -> Any:
            return block.attentions[index](states, encoder_hidden_states=embedding, return_dict=False)

        return run(forward, hidden)

    def finish(hidden: Tensor) -> None:
        transformer = end[0].attentions[end[1]]
        _attend_within(transformer, hidden, embedding, int(place["inner"]), cross=place["kind"] == "2")

    hidden: Tensor = unet.conv_in(2 * sample - 1.0 if unet.config.center_input_sample else sample)
    skips = [hidden]
    for block in unet.down_blocks:
        for index, resnet in enumerate(block.resnets):
            hidden = run(resnet, hidden, time)
            if (block, index) == end:
                finish(hidden)
                return
            if _has_attention(block):
                hidden = attend(block, index, hidden)
            skips.append(hidden)
        for downsampler in block.downsamplers or ():
            hidden = run(downsampler, hidden)
            skips.append(hidden)
    if unet.mid_block is not None:
        hidden = run(unet.mid_block.resnets[0], hidden, time)
        for index, resnet in enumerate(unet.mid_block.resnets[1:]):
            if (unet.mid_block, index) == end:
                finish(hidden)
                return
            if _has_attention(unet.mid_block):
                hidden = attend(unet.mid_block, index, hidden)
            hidden = run(resnet, hidden, time)
    for block in unet.up_blocks:
        for index, resnet in enumerate(block.resnets):
            hidden = run(resnet, torch.cat([hidden, skips.pop()], dim=1), time)
            if (block, index) == end:
                finish(hidden)
                return
            if _has_attention(block):
                hidden = attend(block, index, hidden)
        for upsampler in block.upsamplers or ():
            hidden = run(upsampler, hidden)


def _attend_within(transformer: Any, hidden: Tensor, embedding: Tensor, inner: int, *, cross: bool) -> None:
    """`Transformer2DModel.forward` up to one map."""
    states = transformer.norm(hidden)
    if transformer.use_linear_projection:
        states = transformer.proj_in(states.flatten(2).transpose(1, 2))
    else:
        states = transformer.proj_in(states).flatten(2).transpose(1, 2)
    for block in transformer.transformer_blocks[:inner]:
        states = block(states, encoder_hidden_states=embedding)
    block = transformer.transformer_blocks[inner]
    normed = block.norm1(states)
    if not cross:
        keep_map(block.attn1, normed, normed)
        return
    states = block.attn1(normed) + states
    keep_map(block.attn2, block.norm2(states), embedding)


def _has_attention(block: Any) -> bool:
    return bool(getattr(block, "has_cross_attention", False))
