"""Reports of `magedit models check`, compared with the loaded checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from magedit.backbones.checkpoints.check import check
from magedit.errors import CheckpointError
from magedit.inversion.registry import INVERSIONS
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.backbones.sdxl.tiny import sdxl_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return sdxl_checkpoint(tmp_path / "sdxl")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_report_matches_the_loaded_checkpoint(checkpoint: Path, dtype: str) -> None:
    found, fit = check(checkpoint, dtype=dtype)
    assert found.is_supported
    assert fit is not None
    pipe = MAGEditPipeline.from_pretrained(checkpoint, dtype=getattr(torch, dtype))
    assert (fit.picture, fit.latent, fit.max_tokens) == (pipe.size, pipe.latent_side, pipe.max_tokens)
    assert (fit.sites, fit.guidance_sites) == (pipe.backbone.sites, pipe.backbone.guidance_sites)
    for name, number in fit.parameters.items():
        weights = list(getattr(pipe, name).parameters())
        assert number == sum(each.numel() for each in weights)
        assert fit.memory.weights[name] == sum(each.numel() * each.element_size() for each in weights)
    assert set(INVERSIONS) - set(fit.inversions) == (set() if dtype == "float32" else {"null-text"})
    assert set(fit.unsuited) == {"flow-edit", "denominator"}


def test_the_report_needs_no_weights(checkpoint: Path) -> None:
    _, whole = check(checkpoint)
    for file in checkpoint.rglob("*.safetensors"):
        file.unlink()
    found, fit = check(checkpoint)
    assert "there are no weights in its folder 'unet'" in str(found.problem)
    assert fit == whole


def test_the_checkpoints_own_keys_are_honoured(checkpoint: Path) -> None:
    index = json.loads((checkpoint / "model_index.json").read_text())
    (checkpoint / "model_index.json").write_text(json.dumps({**index, "guidance_resolution": 16}))
    _, fit = check(checkpoint)
    assert fit is not None
    assert {site.side for site in fit.guidance_sites} == {16}


def test_an_unsupported_kind_is_named(checkpoint: Path) -> None:
    index = json.loads((checkpoint / "model_index.json").read_text())
    (checkpoint / "model_index.json").write_text(json.dumps({**index, "requires_aesthetics_score": True}))
    found, fit = check(checkpoint)
    assert fit is None
    assert "use the base model" in found.sentence


def test_a_missing_config_is_named(checkpoint: Path) -> None:
    (checkpoint / "text_encoder_2" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        check(checkpoint)
    (checkpoint / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    found, fit = check(checkpoint)
    assert fit is None
    assert "no weights" in found.sentence
