"""One file in the layout of the first releases gives the very parts of the folder that it was made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from magedit.backbones.checkpoints.inspect import inspect
from magedit.backbones.checkpoints.single_file.loader import CONFIGS, write_configs
from magedit.errors import CheckpointError
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.backbones.checkpoints.single_file.original_layout import pack


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
def test_a_single_file_loads_its_original_parts(narrow: Path, tmp_path: Path, suffix: str) -> None:
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


def test_a_file_of_sd2_is_read_with_v_prediction_and_without_its_last_text_layer(tmp_path: Path) -> None:
    folder, sd2, file = tmp_path / "narrow", CONFIGS / "sd2", tmp_path / "model.safetensors"
    torch.manual_seed(0)
    unet: dict[str, Any] = UNet2DConditionModel.load_config(sd2, subfolder="unet")
    changed = {"block_out_channels": [32] * 4, "attention_head_dim": [1] * 4, "cross_attention_dim": 32}
    UNet2DConditionModel.from_config(unet | changed).save_pretrained(folder / "unet")
    vae: dict[str, Any] = AutoencoderKL.load_config(sd2, subfolder="vae")
    AutoencoderKL.from_config(vae | {"block_out_channels": [32] * 4}).save_pretrained(folder / "vae")
    # As published: 24 layers and a projection, of which the model uses the first 23 layers.
    sizes = {"hidden_size": 32, "num_hidden_layers": 24, "projection_dim": 32}
    text = CLIPTextConfig.from_pretrained(sd2 / "text_encoder", dtype=torch.float32, **sizes)
    CLIPTextModelWithProjection(text).save_pretrained(folder / "text_encoder")
    pack(folder, file, open_clip=True)
    assert inspect(file).family == "sd2"
    pipe = MAGEditPipeline.from_pretrained(file)
    assert (pipe.size, pipe.guidance_side, pipe.max_tokens) == (768, 24, 77)
    assert (pipe.scheduler.config.prediction_type, pipe.tokenizer.pad_token) == ("v_prediction", "!")
    wanted = UNet2DConditionModel.from_pretrained(folder / "unet").state_dict()
    assert all(torch.equal(each, wanted[name]) for name, each in pipe.unet.state_dict().items())
    (weights,) = (folder / "text_encoder").glob("*.safetensors")
    texts, got = load_file(weights), pipe.text_encoder.state_dict()
    used = {name.removeprefix("text_model."): each for name, each in texts.items() if ".23." not in name}
    assert got.keys() == used.keys() - {"text_projection.weight"}
    assert all(torch.equal(each, used[name]) for name, each in got.items())


@pytest.fixture(scope="module")
def narrow_xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion XL of few channels and text layers, random weights."""
    folder, xl = tmp_path_factory.mktemp("narrow-xl"), CONFIGS / "sdxl"
    torch.manual_seed(0)
    unet: dict[str, Any] = UNet2DConditionModel.load_config(xl, subfolder="unet")
    changed = {
        "block_out_channels": [32, 32, 64],
        "attention_head_dim": [1, 1, 1],
        "cross_attention_dim": 64,
        "projection_class_embeddings_input_dim": 6 * 256 + 40,
    }
    UNet2DConditionModel.from_config(unet | changed).save_pretrained(folder / "unet")
    vae: dict[str, Any] = AutoencoderKL.load_config(xl, subfolder="vae")
    AutoencoderKL.from_config(vae | {"block_out_channels": [32] * 4}).save_pretrained(folder / "vae")
    for part, kind, width in (("text_encoder", CLIPTextModel, 24), ("text_encoder_2", CLIPTextModelWithProjection, 40)):
        sizes = {"hidden_size": width, "intermediate_size": 48, "num_hidden_layers": 2, "projection_dim": width}
        text = CLIPTextConfig.from_pretrained(xl / part, dtype=torch.float32, **sizes)
        kind(text).save_pretrained(folder / part)
    return folder


def test_an_sdxl_single_file_loads_its_original_parts(narrow_xl: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    pack(narrow_xl, file)
    assert inspect(file).family == "sdxl"
    pipe = MAGEditPipeline.from_pretrained(file)
    assert (pipe.size, pipe.guidance_side, pipe.max_tokens) == (1024, 32, 77)
    for part, kind in (
        ("unet", UNet2DConditionModel),
        ("vae", AutoencoderKL),
        ("text_encoder", CLIPTextModel),
        ("text_encoder_2", CLIPTextModelWithProjection),
    ):
        wanted = kind.from_pretrained(narrow_xl / part).state_dict()
        got = getattr(pipe, part).state_dict()
        assert set(got) == set(wanted)
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)
    assert pipe.tokenize("a photo of a cat").ids == (49406, 320, 1125, 539, 320, 2368, 49407)
    assert (pipe.tokenizer.pad_token, pipe.tokenizer_2.pad_token) == ("<|endoftext|>", "!")
    # As published: 2 layers of cross attention in each block at 64x64, 10 at 32x32, none at 128x128.
    cross = [site.side for site in pipe.backbone.sites if site.kind == "cross"]
    assert cross == [64] * 4 + [32] * 20 + [32] * 10 + [32] * 30 + [64] * 6
    assert len(pipe.backbone.guidance_sites) == 50


def test_marks_of_v_prediction_are_read(narrow_xl: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    pack(narrow_xl, file, marks=("v_pred", "ztsnr"))
    found, folder = inspect(file), tmp_path / "configs"
    write_configs(found, folder)
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    assert (scheduler["prediction_type"], scheduler["rescale_betas_zero_snr"]) == ("v_prediction", True)


@pytest.mark.parametrize(
    ("prefix", "told"),
    [
        ("conditioner.embedders.1.", "the file has no text encoder"),
        ("first_stage_model.", "the file has no VAE"),
    ],
)
def test_a_file_of_sdxl_that_lacks_a_part_says_which(narrow_xl: Path, tmp_path: Path, prefix: str, told: str) -> None:
    file = tmp_path / "model.safetensors"
    pack(narrow_xl, file)
    save_file({name: each for name, each in load_file(file).items() if not name.startswith(prefix)}, file)
    assert told in inspect(file).sentence


def test_a_file_that_lacks_a_part_is_refused_in_a_sentence(narrow: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.ckpt"
    pack(narrow, file)
    tensors = torch.load(file)["state_dict"]
    del tensors["model.diffusion_model.input_blocks.4.0.out_layers.3.weight"]
    torch.save({"state_dict": tensors}, file)
    with pytest.raises(CheckpointError, match="cannot be read as sd1"):
        MAGEditPipeline.from_pretrained(file)


def test_a_file_without_cross_attention_is_refused_with_the_tensor_that_is_missing(
    narrow: Path, tmp_path: Path
) -> None:
    file = tmp_path / "model.safetensors"
    pack(narrow, file)
    save_file({name: each for name, each in load_file(file).items() if "attn2.to_k" not in name}, file)
    with pytest.raises(CheckpointError, match=r"it has no tensor '.*input_blocks.4.1.*attn2.to_k.weight'"):
        MAGEditPipeline.from_pretrained(file)
