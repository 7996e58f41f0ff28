"""Virtual inversion (Xu et al., InfEdit, arXiv 2312.04965)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magedit.card import Paper
from magedit.inversion.card import InversionCard

if TYPE_CHECKING:
    from magedit.inversion.base import Invert


def _load() -> Invert:
    from magedit.inversion.virtual.loop import virtual

    return virtual


CARD = InversionCard(
    name="virtual",
    summary="Inverts nothing: draws the source's noise at each step, and the edit follows what the prompts change in "
    "the prediction.",
    papers=(Paper(title="Inversion-Free Image Editing with Natural Language", arxiv="2312.04965"),),
    load=_load,
    is_virtual=True,
    unsuited={"flow": "it works on predicted noise, and the model predicts a velocity"},
)
