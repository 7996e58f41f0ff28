"""MagicBrush (Zhang et al., arXiv 2306.10012): InstructPix2Pix tuned on edits made by people."""

from __future__ import annotations

from magedit.card import Paper
from magedit.methods.card import INSTRUCTED, MethodCard, every_step

CARD = MethodCard(
    name="magicbrush",
    summary="InstructPix2Pix fine-tuned on human-made, human-rated edits.",
    papers=(Paper(title="MagicBrush", arxiv="2306.10012"),),
    inputs=("image", "mask", "target_prompt"),
    inversions=(),
    parameters=INSTRUCTED,
    own_checkpoint=True,
    plan=every_step,
)
