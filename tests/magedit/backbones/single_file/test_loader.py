"""One file in the layout of the first releases gives the very parts of the folder that it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from magedit.backbones.inspect import inspect
from magedit.backbones.single_file.loader import CONFIGS
from magedit.errors import CheckpointError
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.backbones.original_layout import pack


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 1.5 of few channels, random weights."""
    folder, sd1 = tmp_path_factory.mktemp("narrow"), CONFIGS / "sd1"
    torch.manual_seed(0)
    unet: dict[str, Any] = UNet2DConditionModel.load_config(sd1, subfolder="unet")
    changed = {"block_out_channels": [32] * 4, "cross_attention_dim": 24}
    UNet2DConditionModel.from_config(unet | changed).save_pretrained(folder / "unet")
    vae: dict[str, Any] = AutoencoderKL.load_config(sd1, subfolder="vae")
    AutoencoderKL.from_config(vae | {"block_out_channels": [32] * 4}).save_pretrained(folder / "vae")
    text = CLIPTextConfig.from_pretrained(
        sd1 / "text_encoder", hidden_size=24, intermediate_size=24, num_hidden_layers=2
    )
    CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    return folder


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_file_gives_the_parts_that_it_was_made_from(narrow: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"model{suffix}"
    pack(narrow, file)
    assert inspect(file).family == "sd1"
    pipe = MAGEditPipeline.from_pretrained(file)
    assert (pipe.size, pipe.guidance_side, pipe.max_tokens) == (512, 16, 77)
    for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL), ("text_encoder", CLIPTextModel)):
        wanted = kind.from_pretrained(narrow / part).state_dict()
        got = getattr(pipe, part).state_dict()
        assert set(got) == set(wanted)
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)
    # Ids of the published vocabulary.
    assert pipe.tokenize("a photo of a cat").ids == (49406, 320, 1125, 539, 320, 2368, 49407)


def test_a_file_that_lacks_a_part_is_refused_in_a_sentence(narrow: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.ckpt"
    pack(narrow, file)
    tensors = torch.load(file)["state_dict"]
    del tensors["model.diffusion_model.input_blocks.4.0.out_layers.3.weight"]
    torch.save({"state_dict": tensors}, file)
    with pytest.raises(CheckpointError, match="cannot be read as sd1"):
        MAGEditPipeline.from_pretrained(file)
