"""Negative-prompt inversion (Miyake et al., arXiv 2305.16807)."""

from __future__ import annotations

from magedit.card import Paper
from magedit.inversion.card import OF_A_TRAJECTORY, WITHOUT_UNCONDITIONAL, InversionCard

CARD = InversionCard(
    name="negative-prompt",
    summary="Uses the source prompt as the unconditional one, so that guidance cancels on the source.",
    papers=(Paper(title="Negative-prompt Inversion", arxiv="2305.16807"),),
    unsuited={**OF_A_TRAJECTORY, **WITHOUT_UNCONDITIONAL},
)
