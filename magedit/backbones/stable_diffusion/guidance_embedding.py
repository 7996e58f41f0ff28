"""Embedding of the guidance scale for guidance-distilled networks."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def guidance_embedding(scale: Tensor, width: int) -> Tensor:
    """The embedding (n, width) of guidance scales (n,) that latent consistency models take (arXiv 2310.04378, 4.2).

    They use w = scale - 1, so that no guidance is 0.
    """
    half = width // 2
    rates = torch.exp(torch.arange(half, device=scale.device) * -(math.log(10_000.0) / (half - 1)))
    angles = 1000.0 * (scale.float() - 1)[:, None] * rates
    return torch.nn.functional.pad(torch.cat([angles.sin(), angles.cos()], 1), (0, width % 2))
