"""Plug-and-Play diffusion features (Tumanyan et al., arXiv 2211.12572)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magedit.card import Paper
from magedit.methods.card import (
    ALL_INVERSIONS,
    BLEND,
    INVERTED,
    MEASURED,
    WHOLE_EDIT,
    MethodCard,
    every_step,
    source_branch,
)

if TYPE_CHECKING:
    from magedit.methods.base import Method


def _load() -> Method:
    from magedit.methods.pnp.loop import pnp

    return pnp


CARD = MethodCard(
    name="pnp",
    summary="Injects the source's features and self attention into the decoder of the UNet.",
    papers=(Paper(title="Plug-and-Play Diffusion Features", arxiv="2211.12572"),),
    inputs=WHOLE_EDIT,
    inversions=ALL_INVERSIONS,
    parameters=(*INVERTED, *MEASURED, "feature_replace", "self_replace", *BLEND),
    load=_load,
    plan=every_step,
    shared=source_branch,
    unsuited={"joint-attention": "it injects into the decoder of a UNet, and the model is a transformer without one"},
)
