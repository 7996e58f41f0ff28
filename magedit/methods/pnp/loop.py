"""Plug-and-Play diffusion features (Tumanyan et al., arXiv 2211.12572, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

from magedit.methods.base import EditedLatent, EditTask
from magedit.methods.p2p.loop import denoise


def pnp(tasks: Sequence[EditTask]) -> tuple[EditedLatent, ...]:
    """The edit takes features and self attention of the decoder from the source (`magedit.methods.injection`); its
    cross attention is the target prompt's own. The blend of the last steps is the row "PnP + mask" in MAG-Edit's
    teaser.

    With inversion `direct` the source is the inverted trajectory, without guidance, as published; with any other it is
    sampled again under that inversion's guidance.
    """
    return denoise(tasks, [None] * len(tasks))
