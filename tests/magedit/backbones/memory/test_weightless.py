"""Backbones from configs alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from magedit.backbones.checkpoints.inspect import inspect
from magedit.backbones.memory.weightless import weightless
from magedit.errors import CheckpointError
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import CHECKPOINT


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    """The tiny checkpoint's folder without its weights."""
    return Path(shutil.copytree(CHECKPOINT, tmp_path / "configs", ignore=shutil.ignore_patterns("*.safetensors")))


def test_shapes_match_the_loaded_checkpoint_without_data(pipe: MAGEditPipeline) -> None:
    found = weightless(inspect(CHECKPOINT), torch.float16)
    assert found.backbone.sites == pipe.backbone.sites
    for name, loaded in (("unet", pipe.unet), ("vae", pipe.vae)):
        empty = dict(found.modules[name].named_parameters())
        assert {key: each.shape for key, each in empty.items()} == {
            key: each.shape for key, each in loaded.named_parameters()
        }
        assert all((each.device.type, each.dtype) == ("meta", torch.float16) for each in empty.values())


def test_a_missing_config_is_named(configs: Path) -> None:
    found = inspect(CHECKPOINT)
    assert found.configs is not None
    (configs / "vae" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"its part 'vae' has no config\.json"):
        weightless(type(found)(**{**vars(found), "configs": configs}), torch.float32)
