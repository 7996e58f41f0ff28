"""Prompt-to-Prompt on a real image (Hertz et al., arXiv 2208.01626)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magedit.card import Paper
from magedit.methods.card import (
    ALL_INVERSIONS,
    BLEND,
    INVERTED,
    MEASURED,
    PROMPT_TO_PROMPT,
    WHOLE_EDIT,
    MethodCard,
    every_step,
    source_branch,
)

if TYPE_CHECKING:
    from magedit.methods.base import Method


def _load() -> Method:
    from magedit.methods.p2p.loop import p2p

    return p2p


CARD = MethodCard(
    name="p2p",
    summary="Injects the source's cross and self attention; the prompts alone say what changes.",
    papers=(Paper(title="Prompt-to-Prompt", arxiv="2208.01626"),),
    inputs=WHOLE_EDIT,
    inversions=ALL_INVERSIONS,
    parameters=(*INVERTED, *MEASURED, *PROMPT_TO_PROMPT, *BLEND),
    load=_load,
    plan=every_step,
    shared=source_branch,
)
