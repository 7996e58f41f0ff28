"""Virtual inversion (Xu et al., InfEdit, arXiv 2312.04965)."""

from __future__ import annotations

from magedit.card import Paper
from magedit.inversion.card import InversionCard

CARD = InversionCard(
    name="virtual",
    summary="No inversion: draws the source's noise at each step, and the edit follows the difference between the "
    "prompts' predictions.",
    papers=(Paper(title="Inversion-Free Image Editing with Natural Language", arxiv="2312.04965"),),
    is_virtual=True,
    unsuited={"flow": "it works on predicted noise, and the model predicts a velocity"},
)
