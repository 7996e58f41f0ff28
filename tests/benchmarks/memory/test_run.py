"""Memory of an edit, and of a worker over several."""

from __future__ import annotations

import pytest
import torch

from benchmarks.memory.run import LIMIT_MIB, growth, peaks
from benchmarks.speed.sd import sd_pipeline
from magedit.config import EditConfig
from magedit.pipelines.mag_edit import MAGEditPipeline


def test_checkpointed_passes_take_less(pipe: MAGEditPipeline) -> None:
    config = EditConfig(steps=2, max_iterations=1)
    default, _ = peaks(pipe, config)
    assert {"invert", "edit", "decode"} <= set(default)
    pipe.unet.enable_gradient_checkpointing()
    try:
        assert peaks(pipe, config)[0]["edit"] < default["edit"]
    finally:
        pipe.unet.disable_gradient_checkpointing()


def test_a_worker_is_watched_over_its_edits() -> None:
    found = growth(2, EditConfig(steps=2, max_iterations=1))
    assert set(found) == {"1", "2"}
    assert min(found.values()) > 100


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_worker_does_not_grow() -> None:
    first, last = growth(200, EditConfig(steps=4, max_iterations=2)).values()
    assert last < 1.05 * first


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_default_edit_at_512_pixels_fits_a_card_of_8_gigabytes() -> None:
    assert max(peaks(sd_pipeline(torch.bfloat16), EditConfig(steps=2, max_iterations=2))[0].values()) <= LIMIT_MIB
