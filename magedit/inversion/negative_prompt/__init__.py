"""Negative-prompt inversion (Miyake et al., arXiv 2305.16807)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magedit.card import Paper
from magedit.inversion.card import OF_A_TRAJECTORY, WITHOUT_UNCONDITIONAL, InversionCard

if TYPE_CHECKING:
    from magedit.inversion.base import Invert


def _load() -> Invert:
    from magedit.inversion.negative_prompt.loop import negative_prompt

    return negative_prompt


CARD = InversionCard(
    name="negative-prompt",
    summary="Takes the source prompt as the unconditional one: guidance cancels on the source.",
    papers=(Paper(title="Negative-prompt Inversion", arxiv="2305.16807"),),
    load=_load,
    unsuited={**OF_A_TRAJECTORY, **WITHOUT_UNCONDITIONAL},
)
