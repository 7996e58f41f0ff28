"""Blended Latent Diffusion (Avrahami et al., arXiv 2206.02779)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magedit.card import Paper
from magedit.methods.card import MEASURED, SAMPLING, MethodCard, without_skipped

if TYPE_CHECKING:
    from magedit.methods.base import Method


def _load() -> Method:
    from magedit.methods.base import in_turn
    from magedit.methods.blended_latent.loop import blended_latent

    return in_turn(blended_latent)


CARD = MethodCard(
    name="blended-latent",
    summary="Draws the target prompt inside the mask and takes the noised source outside at every step.",
    papers=(Paper(title="Blended Latent Diffusion", arxiv="2206.02779"),),
    inputs=("image", "mask", "target_prompt"),
    inversions=(),
    parameters=(*SAMPLING, *MEASURED, "skip_fraction"),
    load=_load,
    plan=without_skipped,
)
