"""The UNet as the algorithm calls it: predicted noise, and cross-attention maps from a truncated pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from magedit.backbones.ddim import Schedule
from magedit.backbones.stable_diffusion.attention import Layer
from magedit.backbones.stable_diffusion.truncated import attend_until
from magedit.meter import Meter


@dataclass(frozen=True)
class Denoiser:
    """A UNet with its schedule. Latents and noise are fp32 outside, the UNet's own dtype inside.

    ``batch_results`` is how many results of one edit may share a pass.
    """

    unet: UNet2DConditionModel
    schedule: Schedule
    meter: Meter
    batch_results: int = 1

    @property
    def dtype(self) -> torch.dtype:
        """The UNet's number format; diffusers' own property looks at every module, which costs as much as a layer."""
        dtype: torch.dtype = self.unet.conv_in.weight.dtype
        return dtype

    def noise(
        self, latents: Tensor, timestep: int, embeddings: Tensor, *, alpha: float | None = None, results: int = 1
    ) -> Tensor:
        """Predicted noise (B, C, h, w) of ``latents`` at ``timestep`` under ``embeddings`` (B, tokens, width).

        ``alpha`` is the cumulative alpha of the latents' own level where that is not ``timestep``'s (DDIM inversion);
        ``results`` how many share the batch, a pass each (`magedit.passes`).
        """
        given = (latents.to(self.dtype), timestep, embeddings.to(self.dtype))
        output = self.unet(*given, return_dict=False)[0].float()
        self.meter.passed(forward=results)
        return self.schedule.epsilon(output, latents, self.schedule.alpha(timestep) if alpha is None else alpha)

    def attend(self, latents: Tensor, timestep: int, embeddings: Tensor, last: Layer) -> None:
        """Run the UNet up to the map of attention layer ``last``; maps are kept by the surrounding context.

        ``latents`` (B, C, h, w) are one of each result that shares the pass, and count a pass each.
        """
        attend_until(self.unet, latents.to(self.dtype), timestep, embeddings.to(self.dtype), last.name)
        self.meter.passed(truncated=len(latents))


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
