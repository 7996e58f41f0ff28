"""Caches prompt-independent UNet activations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from diffusers import UNet2DConditionModel


@contextmanager
def one_prefix(unet: UNet2DConditionModel) -> Iterator[None]:
    """Compute the layers before the first cross-attention in the first pass inside, and reuse them in the others.

    All passes inside must have the same sample and timestep; only the inputs of cross-attention may differ. Values are
    identical to those of full passes. Weights and sample carry no gradient.
    """
    with ExitStack() as stack:
        for module in _before_embedding(unet):
            # Another hook may have replaced the module's forward.
            hooked = module.__dict__.get("forward")
            module.forward = _Once(module.forward)
            stack.callback(setattr, module, "forward", hooked) if hooked else stack.callback(delattr, module, "forward")
        yield


class _Once:
    """A forward whose first result is every result."""

    def __init__(self, forward: Any) -> None:
        self._forward = forward
        self._made: list[Any] = []

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if not self._made:
            self._made.append(self._forward(*inputs, **options))
        return self._made[0]


def _before_embedding(unet: UNet2DConditionModel) -> Iterator[Any]:
    """The modules of Stable Diffusion's layout that no embedding reaches, in execution order."""
    yield from (unet.time_embedding, unet.conv_in)
    if unet.config.addition_embed_type is not None:  # the pooled embedding enters every ResNet block
        return
    for block in unet.down_blocks:
        attentions = getattr(block, "attentions", None)
        if attentions:
            yield block.resnets[0]
            transformer = attentions[0]
            first = transformer.transformer_blocks[0]
            yield from (transformer.norm, transformer.proj_in, first.norm1, first.attn1)
            return
        yield from (*block.resnets, *(block.downsamplers or ()))
