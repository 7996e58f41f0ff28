"""The checkpoint of random weights, in small; `tests/benchmarks/test_memory.py` takes it whole."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel

from benchmarks.speed import sd
from benchmarks.speed.sd import SD_UNET, sd_pipeline, weights

NARROW = (32, 32, 32, 32)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    monkeypatch.setattr(sd, "SD_UNET", SD_UNET | {"block_out_channels": NARROW, "cross_attention_dim": 16})
    monkeypatch.setattr(sd, "SD_VAE", sd.SD_VAE | {"block_out_channels": NARROW})
    monkeypatch.setattr(sd, "SD_TEXT", sd.SD_TEXT | small)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_weights_are_of_the_format_that_was_asked_for(dtype: torch.dtype) -> None:
    pipe = sd_pipeline(dtype)
    parts = weights(pipe)
    assert set(parts) == {"UNet", "VAE", "text encoder"}
    for name, tensors in parts.items():
        assert {each.dtype for each in tensors if each.is_floating_point()} == {dtype}, name
        assert sum(each.numel() for each in tensors) > 0
    assert (pipe.dtype, pipe.size, pipe.latent_side) == (dtype, 512, 64)
    # What is made afterwards is of the format of before.
    assert torch.get_default_dtype() is torch.float32


def test_the_unet_has_as_many_weights_as_stable_diffusion() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SD_UNET)
    # The published figure of SD 1.x.
    assert sum(each.numel() for each in unet.parameters()) == 859_520_964
