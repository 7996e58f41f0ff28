"""InstructEdit (Wang et al., arXiv 2305.18047): DiffEdit inside the segmented thing that an instruction names."""

from __future__ import annotations

from dataclasses import replace

from magedit.card import Paper
from magedit.methods.diffedit import CARD as DIFFEDIT

CARD = replace(
    DIFFEDIT,
    name="instruct-edit",
    summary="Parses an instruction, locates the thing that it names and runs DiffEdit inside that mask.",
    papers=(Paper(title="InstructEdit", arxiv="2305.18047"), *DIFFEDIT.papers),
    inputs=("instruction", *DIFFEDIT.inputs),
    # The mask is the segmenter's, never DiffEdit's own.
    parameters=tuple(name for name in DIFFEDIT.parameters if name not in {"mask_source", "mask_maps", "mask_ratio"}),
)
