"""Less memory, the same edit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from magedit.backbones.memory.low_memory import save_memory
from magedit.config import EditConfig, InversionName
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room, load_pipeline


@pytest.fixture(scope="module")
def saving() -> MAGEditPipeline:
    """The tiny checkpoint, saving memory."""
    pipe = load_pipeline()
    save_memory(pipe, "cpu")
    return pipe


@pytest.mark.parametrize("inversion", ["direct", "null-text"])
def test_an_edit_is_the_same(
    pipe: MAGEditPipeline, saving: MAGEditPipeline, room: Room, inversion: InversionName
) -> None:
    config = replace(EditConfig(steps=4, max_iterations=2, null_text_iterations=1), inversion=inversion)
    edits = [each(room.image, [room.mask], room.source, room.target, (), config) for each in (pipe, saving)]
    pictures = [np.asarray(edit.images[0]) for edit in edits]
    assert np.array_equal(pictures[0], pictures[1])
    assert edits[0].measures.trace == edits[1].measures.trace
    assert saving.unet.down_blocks[0].gradient_checkpointing
    assert saving.batch_results == 1 < pipe.batch_results
