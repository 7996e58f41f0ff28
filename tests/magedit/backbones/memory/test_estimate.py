"""Memory estimates, compared with the loaded checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from magedit.backbones.checkpoints.inspect import inspect
from magedit.backbones.memory.estimate import _guidance, count
from magedit.backbones.memory.weightless import weightless
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.backbones.sdxl.tiny import sdxl_checkpoint
from tests.magedit.conftest import CHECKPOINT


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_the_estimate_matches_the_loaded_checkpoint(family: str, tmp_path: Path) -> None:
    folder = CHECKPOINT if family == "sd" else sdxl_checkpoint(tmp_path / "sdxl")
    memory = count(weightless(inspect(folder), torch.float32))
    pipe = MAGEditPipeline.from_pretrained(folder)
    assert memory.guidance == pytest.approx(_guidance(pipe.backbone, pipe.backbone.parts), rel=0.01)
    pipe.unet.enable_gradient_checkpointing()
    assert memory.low_guidance == pytest.approx(_guidance(pipe.backbone, pipe.backbone.parts), rel=0.01)
    assert memory.low_guidance <= memory.guidance
    assert memory.low < memory.whole
