"""InstructPix2Pix (Brooks et al., arXiv 2211.09800); its loop is `magedit.pipelines.instruct`."""

from __future__ import annotations

from magedit.card import Paper
from magedit.methods.card import INSTRUCTED, MethodCard, every_step

CARD = MethodCard(
    name="instruct-pix2pix",
    summary="Follows an instruction, with a checkpoint trained to do so.",
    papers=(Paper(title="InstructPix2Pix", arxiv="2211.09800"),),
    inputs=("image", "mask", "target_prompt"),
    inversions=(),
    parameters=INSTRUCTED,
    own_checkpoint=True,
    plan=every_step,
)
