"""Prompt-to-Prompt on a real image (Hertz et al., arXiv 2208.01626)."""

from __future__ import annotations

from magedit.card import Paper
from magedit.methods.card import (
    ALL_INVERSIONS,
    BLEND,
    INVERTED,
    MEASURED,
    PROMPT_TO_PROMPT,
    START,
    WHOLE_EDIT,
    MethodCard,
    source_branch,
    without_skipped,
)

CARD = MethodCard(
    name="p2p",
    summary="Injects the source's cross and self attention; only the prompts determine what changes.",
    papers=(Paper(title="Prompt-to-Prompt", arxiv="2208.01626"),),
    inputs=WHOLE_EDIT,
    inversions=ALL_INVERSIONS,
    parameters=(*INVERTED, *MEASURED, *PROMPT_TO_PROMPT, *BLEND, *START),
    plan=without_skipped,
    shared=source_branch,
)
