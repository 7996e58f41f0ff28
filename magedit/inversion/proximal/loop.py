"""Proximal guidance on negative-prompt inversion (Han et al., arXiv 2306.05414)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from magedit.config import ProximalNorm
from magedit.inversion.base import InversionTask, Inverted
from magedit.inversion.negative_prompt.loop import negative_prompt

RECONSTRUCTION_BELOW = 400
"""Timestep (0..999) below which the latent is pulled towards the source (published program: 400)."""


def proximal(task: InversionTask) -> Inverted:
    """The trajectory of negative-prompt inversion; the proximal part, `prox`, is in the edit's steps."""
    return negative_prompt(task)


def prox(difference: Tensor, norm: ProximalNorm, quantile: float) -> tuple[Tensor, Tensor]:
    """The proximal operator of the guidance eps_cond - eps_uncond (section 3.2), and where it left nothing.

    The threshold is the ``quantile`` of the absolute values. l0 keeps what is above it as it is (hard threshold), l1
    takes the threshold off (soft threshold).

    Returns:
        The guidance that is left, of the same shape, and 1 where no element of its 3x3 neighbourhood in the same
        channel is above the threshold, else 0.
    """
    size = difference.abs()
    threshold = torch.quantile(size.flatten().float(), quantile).to(size.dtype)
    kept = (size > threshold).to(size.dtype)
    left = difference * kept if norm == "l0" else difference.sign() * (size - threshold).clamp_min(0)
    return left, 1 - F.max_pool2d(kept, 3, stride=1, padding=1)
