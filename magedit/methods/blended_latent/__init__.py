"""Blended Latent Diffusion (Avrahami et al., arXiv 2206.02779)."""

from __future__ import annotations

from magedit.card import Paper
from magedit.methods.card import MEASURED, SAMPLING, START, MethodCard, without_skipped

CARD = MethodCard(
    name="blended-latent",
    summary="Draws the target prompt inside the mask and takes the noised source outside at every step.",
    papers=(Paper(title="Blended Latent Diffusion", arxiv="2206.02779"),),
    inputs=("image", "mask", "target_prompt"),
    inversions=(),
    parameters=(*SAMPLING, *MEASURED, *START),
    plan=without_skipped,
)
