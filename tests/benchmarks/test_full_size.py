"""One short edit on a checkpoint of full size, here of tiny ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.full_size import measure
from magedit.config import EditConfig
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.conftest import CHECKPOINT
from tests.magedit.backbones.sdxl.tiny import sdxl_checkpoint


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_an_edit_is_measured_and_counted(family: str, tmp_path: Path) -> None:
    folder = CHECKPOINT if family == "sd" else sdxl_checkpoint(tmp_path)
    own: MAGEditPipeline = MAGEditPipeline.from_pretrained(folder)
    figures = measure(own, own.size // 2, EditConfig(steps=2, max_iterations=1, stop_margin=0.0))
    assert figures["size"] == own.size
    assert figures["finite"]
    assert figures["outside_difference"] == 0
    assert min(figures["passes"]) > 0
    assert set(figures["stage_seconds"]) >= {"invert", "edit", "decode"}
    weights = 4 * figures["parameters"] / 2**20
    assert weights < max(figures["peak_mib"].values())
    assert figures["counted_mib"]["low_memory"] < figures["counted_mib"]["whole"]
    assert weights < figures["counted_mib"]["whole"]
