"""Proximal guidance on negative-prompt inversion (Han et al., arXiv 2306.05414)."""

from __future__ import annotations

from magedit.card import Paper
from magedit.config import ProximalParameters, names_of
from magedit.inversion.card import OF_A_TRAJECTORY, WITHOUT_UNCONDITIONAL, InversionCard

CARD = InversionCard(
    name="proximal",
    summary="Negative-prompt inversion whose guidance keeps only its largest values, for fewer unintended changes.",
    papers=(Paper(title="Proximal Guidance", arxiv="2306.05414"),),
    parameters=("guidance_scale", *names_of(ProximalParameters)),
    unsuited={**OF_A_TRAJECTORY, **WITHOUT_UNCONDITIONAL},
)
