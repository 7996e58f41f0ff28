"""Plain DDIM inversion (Song et al., arXiv 2010.02502)."""

from __future__ import annotations

from magedit.card import Paper
from magedit.inversion.card import OF_A_TRAJECTORY, InversionCard

CARD = InversionCard(
    name="ddim",
    summary="The DDIM trajectory (Euler's method for rectified flow); the source is sampled again from its end.",
    papers=(Paper(title="Denoising Diffusion Implicit Models", arxiv="2010.02502"),),
    unsuited=OF_A_TRAJECTORY,
)
