"""Inputs and outputs of an inversion."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from magedit.backbones.base import Conditioning
from magedit.backbones.denoiser import Denoiser
from magedit.config import EditConfig


@dataclass(frozen=True)
class InversionTask:
    """One image to invert.

    ``latent`` is z_0, (1, C, h, w), fp32; ``source`` and ``empty`` are the source prompt and the empty one.
    """

    denoiser: Denoiser
    latent: Tensor
    source: Conditioning
    empty: Conditioning
    config: EditConfig


@dataclass(frozen=True)
class Inverted:
    """A source trajectory to edit along.

    ``latents[i]`` is the inversion's latent at the start of sampling step i: T + 1 of them, from z_T to z_0; z_0 alone
    for a method without inversion. ``unconditional[i]`` is the conditioning of the unconditional half at step i.
    ``exact``: the source branch *is* the trajectory (Direct Inversion) and need not be sampled. ``values[i]``, where
    there are any, are the embeddings that cross attention takes its values from in the source's conditional half, (1,
    tokens, width). ``sampled``, where there is any, is the source branch as the inversion has sampled it, in the order
    of ``latents``.
    """

    latents: tuple[Tensor, ...]
    unconditional: tuple[Conditioning, ...]
    exact: bool
    values: tuple[Tensor, ...] = ()
    sampled: tuple[Tensor, ...] = ()

    @property
    def source(self) -> tuple[Tensor, ...]:
        """The source branch's latent at the start of each step, and the last; empty if it is still to be sampled."""
        return self.latents if self.exact else self.sampled
