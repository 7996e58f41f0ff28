"""Plug-and-Play diffusion features (Tumanyan et al., arXiv 2211.12572)."""

from __future__ import annotations

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

CARD = MethodCard(
    name="pnp",
    summary="Injects the source's features and self attention into the decoder of the UNet.",
    papers=(Paper(title="Plug-and-Play Diffusion Features", arxiv="2211.12572"),),
    inputs=WHOLE_EDIT,
    inversions=ALL_INVERSIONS,
    parameters=(*INVERTED, *MEASURED, "feature_replace", "self_replace", *BLEND),
    plan=every_step,
    shared=source_branch,
    unsuited={"joint-attention": "it injects into the decoder of a UNet, and the model is a transformer without one"},
)
