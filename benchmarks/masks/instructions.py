"""Success of edits by instruction in rooms with known edits, with found and with true masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magedit.config import EditConfig
from magedit.demo.edits import DemoEdit, EditKind
from magedit.demo.evaluate import judge_edit
from magedit.demo.instructions import instruction
from magedit.demo.sets import sample_edits
from magedit.errors import MAGEditError
from magedit.masks.rle import decode
from magedit.pipelines.mag_edit import MAGEditPipeline

KINDS: Final[tuple[EditKind, ...]] = ("colour", "pattern", "replacement", "removal")
"""Kinds of edits whose instructions say where: an addition names nothing that is there."""


FAST: Final = EditConfig.preset("fast")


def success(pipe: MAGEditPipeline, number: int, seed: int, config: EditConfig = FAST) -> dict[str, Any]:
    """Shares of ``number`` edits, as many of each kind, that succeed by instruction and source prompt alone.

    With the true mask, and with the one that is found; ``overlap`` is the found masks' mean intersection over union
    with the true ones, 0 where nothing is found. It leaves replacements out: their masks have room for another shape.
    """
    edits = [edit for kind in KINDS for edit in sample_edits(kind, number // len(KINDS), seed)]
    true, found, overlaps = [], [], []
    for edit in edits:
        mask = edit.mask()
        true.append(_succeeds(pipe, edit, [mask], config)[0])
        is_right, selected = _succeeds(pipe, edit, (), config)
        found.append(is_right)
        wanted = np.asarray(mask) > 0
        if edit.kind != "replacement":
            overlaps.append(float((selected & wanted).sum() / (selected | wanted).sum()))
    return {
        "edits": len(edits),
        "with_true_mask": round(float(np.mean(true)), 3),
        "with_found_mask": round(float(np.mean(found)), 3),
        "overlap": round(float(np.mean(overlaps)), 3),
        "by_kind": {
            kind: f"{_count(edits, true, kind)}, {_count(edits, found, kind)} of {number // len(KINDS)}"
            for kind in KINDS
        },
    }


def _count(edits: Sequence[DemoEdit], right: Sequence[bool], kind: str) -> int:
    return sum(is_right for edit, is_right in zip(edits, right, strict=True) if edit.kind == kind)


def _succeeds(
    pipe: MAGEditPipeline, edit: DemoEdit, masks: Sequence[Image.Image], config: EditConfig
) -> tuple[bool, NDArray[np.bool_]]:
    """Whether an edit succeeds, and where its mask was found."""
    nowhere = np.zeros((edit.image().height, edit.image().width), dtype=bool)
    try:
        output = pipe(edit.image(), masks, edit.source_prompt, config=config, instruction=instruction(edit))
    except MAGEditError:
        return False, nowhere
    result = output.images[0]
    assert isinstance(result, Image.Image)
    selected = decode(output.measures.found[0].rle, "rle") if output.measures.found else nowhere
    return bool(judge_edit(edit, result, edit.image().width)["success"]), selected
