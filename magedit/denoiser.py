"""The UNet as the algorithm sees it: noise of a latent, and cross-attention maps without the rest of the pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from magedit.attention import Layer
from magedit.meter import Meter
from magedit.schedule import Schedule


@dataclass(frozen=True)
class Denoiser:
    """A UNet with its schedule. Latents and noise are fp32 outside, the UNet's own dtype inside."""

    unet: UNet2DConditionModel
    schedule: Schedule
    meter: Meter

    def noise(self, latents: Tensor, timestep: int, embeddings: Tensor, *, alpha: float | None = None) -> Tensor:
        """Predicted noise (B, C, h, w) of ``latents`` at ``timestep`` under ``embeddings`` (B, tokens, width).

        ``alpha`` is the cumulative alpha of the latents' own level where that is not ``timestep``'s (DDIM inversion).
        """
        output = self.unet(latents.to(self.unet.dtype), timestep, embeddings.to(self.unet.dtype), return_dict=False)[
            0
        ].float()
        self.meter.passed(forward=1)
        return self.schedule.epsilon(output, latents, self.schedule.alpha(timestep) if alpha is None else alpha)

    def attend(self, latent: Tensor, timestep: int, embedding: Tensor, last: Layer) -> None:
        """Run the UNet up to and including attention layer ``last``; maps are kept by the surrounding context."""
        forward_until(self.unet, latent.to(self.unet.dtype), timestep, embedding.to(self.unet.dtype), last.name)
        self.meter.passed(truncated=1)


def forward_until(unet: UNet2DConditionModel, sample: Tensor, timestep: int, embedding: Tensor, last: str) -> None:
    """`UNet2DConditionModel.forward` for SD 1.x/2.x layout, stopped after the transformer that holds layer ``last``.

    Sides that do not divide by the UNet's total down-sampling are not needed here: the program works on squares of
    the checkpoint's own size.
    """
    # Model offload moves the UNet to the device in this hook, which a call of `forward` would run.
    hook = getattr(unet, "_hf_hook", None)
    if hook is not None:
        hook.pre_forward(unet)
    part, *rest = last.split(".")
    emb = unet.time_embedding(unet.get_time_embed(sample=sample, timestep=timestep))
    if unet.config.center_input_sample:
        sample = 2 * sample - 1.0
    sample = unet.conv_in(sample)
    residuals: tuple[Tensor, ...] = (sample,)
    for index, block in enumerate(unet.down_blocks):
        inputs = {"encoder_hidden_states": embedding} if _is_cross(block) else {}
        sample, skipped = block(hidden_states=sample, temb=emb, **inputs)
        residuals += skipped
        if part == "down_blocks" and index == int(rest[0]):
            return
    if unet.mid_block is not None:
        inputs = {"encoder_hidden_states": embedding} if _is_cross(unet.mid_block) else {}
        sample = unet.mid_block(sample, emb, **inputs)
    if part == "mid_block":
        return
    for index, block in enumerate(unet.up_blocks):
        count = len(block.resnets)
        skipped, residuals = residuals[-count:], residuals[:-count]
        if index < int(rest[0]):
            inputs = {"encoder_hidden_states": embedding} if _is_cross(block) else {}
            sample = block(hidden_states=sample, temb=emb, res_hidden_states_tuple=skipped, **inputs)
            continue
        until = int(rest[2])
        for resnet, attention, skip in zip(block.resnets, block.attentions, reversed(skipped), strict=True):
            sample = resnet(torch.cat([sample, skip], dim=1), emb)
            sample = attention(sample, encoder_hidden_states=embedding, return_dict=False)[0]
            if attention is block.attentions[until]:
                return


def _is_cross(block: torch.nn.Module) -> bool:
    return bool(getattr(block, "has_cross_attention", False))


@contextmanager
def frozen(module: torch.nn.Module) -> Iterator[None]:
    """No gradients for the module's weights inside; each weight's flag is put back on exit."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
