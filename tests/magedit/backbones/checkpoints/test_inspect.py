"""What a checkpoint is, from configs as real ones have them."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magedit.backbones.checkpoints.family import ONLY_FOLDER
from magedit.backbones.checkpoints.inspect import inspect, latent_side
from magedit.errors import CheckpointError

# As published with Stable Diffusion 1.5, the keys that tell one checkpoint from another.
UNET = {
    "_class_name": "UNet2DConditionModel",
    "_diffusers_version": "0.6.0",
    "in_channels": 4,
    "out_channels": 4,
    "sample_size": 64,
    "cross_attention_dim": 768,
}
VAE = {
    "_class_name": "AutoencoderKL",
    "latent_channels": 4,
    "block_out_channels": [128, 256, 512, 512],
    "sample_size": 512,
}
SCHEDULER = {"_class_name": "PNDMScheduler", "prediction_type": "epsilon"}
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "PNDMScheduler"],
}
SDXL = {"addition_embed_type": "text_time", "cross_attention_dim": 2048, "sample_size": 128}
TWO = {
    "_class_name": "StableDiffusionXLPipeline",
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
}
"""What the index of Stable Diffusion XL has besides."""
UNET_KEY = "model.diffusion_model."
TURBO = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}

Write = Callable[..., Path]


def header(tensors: dict[str, list[int]], size: int = 0) -> bytes:
    """A safetensors file of ``size`` bytes of data, of which every tensor has all."""
    text = json.dumps(
        {name: {"dtype": "F16", "shape": shape, "data_offsets": [0, size]} for name, shape in tensors.items()}
    )
    return struct.pack("<Q", len(text)) + text.encode()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a checkpoint's folder without weights of any size."""

    def made(
        *, index: Any = None, unet: Any = None, vae: Any = None, scheduler: Any = None, suffix: str = "", drop: str = ""
    ) -> Path:
        files: dict[str, Any] = {
            "model_index.json": {**INDEX, **(index or {})},
            "unet/config.json": {**UNET, **(unet or {})},
            "vae/config.json": {**VAE, **(vae or {})},
            "scheduler/scheduler_config.json": {**SCHEDULER, **(scheduler or {})},
            "text_encoder/config.json": {},
            "tokenizer/vocab.json": {},
        }
        for name, value in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(json.dumps(value))
        weights = [("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model"), ("text_encoder", "model")]
        if "text_encoder_2" in (index or {}):
            for name in ("text_encoder_2/config.json", "tokenizer_2/vocab.json"):
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_text("{}")
            weights.append(("text_encoder_2", "model"))
        for part, base in weights:
            (tmp_path / part / f"{base}{suffix}.safetensors").write_bytes(header({"w": [1]}))
        if drop:
            (tmp_path / drop).unlink()
        return tmp_path

    return made


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "a Stable Diffusion 1.x checkpoint for pictures of 512 px"),
        (
            {"unet": {"cross_attention_dim": 1024, "sample_size": 96}, "vae": {"sample_size": 768}},
            "a Stable Diffusion 2.x checkpoint for pictures of 768 px",
        ),
        ({"unet": {"in_channels": 8}}, "an InstructPix2Pix checkpoint for pictures of 512 px"),
        ({"index": TWO, "unet": SDXL}, "a Stable Diffusion XL checkpoint for pictures of 1024 px"),
        ({"unet": SDXL}, "its text encoder 2 is missing (folder 'text_encoder_2')"),
        (
            {"index": TWO, "unet": SDXL, "drop": "tokenizer_2/vocab.json"},
            "its tokenizer 2 is missing (folder 'tokenizer_2')",
        ),
        (
            {"index": {**TWO, "requires_aesthetics_score": True}, "unet": SDXL},
            "a Stable Diffusion XL refiner for pictures of 1024 px, which is not supported: it refines",
        ),
        ({"unet": {**SDXL, "in_channels": 9}}, "an inpainting checkpoint for pictures of 1024 px"),
        ({"unet": {**SDXL, "in_channels": 8}}, "a checkpoint of another kind for pictures of 1024 px"),
        (
            {"index": TWO, "unet": SDXL, "scheduler": {**TURBO, "_class_name": "EulerAncestralDiscreteScheduler"}},
            "a Stable Diffusion XL checkpoint for pictures of 1024 px",
        ),
        (
            {"index": TWO, "unet": SDXL, "scheduler": {"_class_name": "EDMDPMSolverMultistepScheduler"}},
            "its scheduler is an EDMDPMSolverMultistepScheduler, whose noise levels are not DDIM's",
        ),
        (
            {"index": {"unet": None, "transformer": ["diffusers", "SD3Transformer2DModel"]}},
            "a Stable Diffusion 3 checkpoint",
        ),
        (
            {"index": {"unet": None, "transformer": ["diffusers", "FluxTransformer2DModel"]}},
            "a FLUX checkpoint for pictures of 512 px, which is not supported: its transformer is missing",
        ),
        (
            {"index": {"unet": None, "transformer": ["diffusers", "Flux2Transformer2DModel"]}},
            "it is a StableDiffusionPipeline; use a Stable Diffusion 1.x, 2.x, XL or 3, FLUX.1 or InstructPix2Pix",
        ),
        ({"unet": {"time_cond_proj_dim": 256}}, "a latent consistency model for pictures of 512 px"),
        ({"scheduler": {"_class_name": "LCMScheduler"}}, "a latent consistency model for pictures of 512 px"),
        ({"scheduler": TURBO}, "a Turbo checkpoint for pictures of 512 px"),
        (
            {"unet": {"in_channels": 9}},
            "an inpainting checkpoint for pictures of 512 px, which is not supported: its",
        ),
        ({"unet": {"in_channels": 5}}, "a depth-to-image checkpoint"),
        ({"unet": {"in_channels": 7}}, "an upscaling checkpoint"),
        ({"unet": {"class_embed_type": "projection"}}, "an unCLIP checkpoint"),
        (
            {"index": {"unet": ["diffusers", "UNetMotionModel"]}},
            "it is a StableDiffusionPipeline; use a Stable Diffusion",
        ),
        ({"vae": {"_class_name": "AutoencoderTiny"}}, "its VAE is an AutoencoderTiny, which is too lossy"),
        ({"vae": {"latent_channels": 16}}, "its network takes 4 latent channels, but its VAE has 16: set MAGEDIT_VAE"),
        ({"drop": "tokenizer/vocab.json"}, "its tokenizer is missing (folder 'tokenizer')"),
        ({"drop": "unet/diffusion_pytorch_model.safetensors"}, "there are no weights in its folder 'unet'"),
        (
            {"unet": {"sample_size": None}, "vae": {"sample_size": None}},
            "no config gives its size: add `sample_size`",
        ),
    ],
)
def test_a_checkpoint_is_described_in_one_sentence(write: Write, changes: dict[str, Any], told: str) -> None:
    found = inspect(write(**changes))
    assert told in found.sentence
    assert "\n" not in found.sentence
    if found.is_supported:
        found.require_supported()
    else:
        with pytest.raises(CheckpointError, match="which is not supported"):
            found.require_supported()


def test_sizes_are_corrected_as_diffusers_does(write: Write) -> None:
    assert inspect(write(unet={"sample_size": 32})).size == 512
    assert latent_side({"sample_size": 32, "_diffusers_version": "0.30.0"}, VAE) == 32
    assert latent_side({"sample_size": [96, 96]}, VAE) == 96
    assert latent_side({"sample_size": None}, {**VAE, "sample_size": 768}) == 96


def test_a_folder_with_only_fp16_files_selects_that_variant(write: Write) -> None:
    folder = write(suffix=".fp16")
    assert inspect(folder).variant == "fp16"
    assert inspect(folder).is_supported
    assert "no weights of variant 'bf16' (MAGEDIT_VARIANT), only diffusion_pytorch_model.fp16.safetensors" in str(
        inspect(folder, variant="bf16").problem
    )


def test_a_file_that_is_cut_off_is_named(write: Write) -> None:
    folder = write()
    (folder / "text_encoder" / "model.safetensors").write_bytes(header({"w": [4]}, size=8) + b"123")
    assert "its file 'text_encoder/model.safetensors' is truncated, " in str(inspect(folder).problem)


@pytest.mark.parametrize(
    ("tensors", "title"),
    [
        ({f"{UNET_KEY}time_embed.cond_proj.weight": [1]}, "a latent consistency model"),
        ({f"{UNET_KEY}input_blocks.0.0.weight": [320, 8, 3, 3]}, "an InstructPix2Pix checkpoint"),
        ({f"{UNET_KEY}joint_blocks.0.x": [1]}, "a Stable Diffusion 3 checkpoint"),
        ({"double_blocks.0.img_attn.x": [1]}, "a FLUX checkpoint"),
    ],
)
def test_a_kind_that_needs_a_folder_says_so(tmp_path: Path, tensors: dict[str, list[int]], title: str) -> None:
    file = tmp_path / "model.safetensors"
    whole = {
        name: [1] for name in (f"{UNET_KEY}input_blocks.1.0", "first_stage_model.x", "cond_stage_model.transformer.x")
    }
    file.write_bytes(header(whole | tensors))
    assert inspect(file).sentence == f"{str(file)!r} is {title}, which is not supported: {ONLY_FOLDER}"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("model.safetensors", b"junk", "is not a safetensors file"),
        ("model.ckpt", b"junk", "is truncated, or not a checkpoint of PyTorch 1.6 or later"),
        ("model.pth", b"", "is a .pth: .safetensors and .ckpt are read"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        inspect(tmp_path / name)
    assert told in caught.value.message


@pytest.mark.parametrize("name", ["no-such", "/no/such/folder", "./no/such", "model.safetensors"])
def test_a_missing_path_is_named(name: str) -> None:
    with pytest.raises(CheckpointError, match="there is no folder or file"):
        inspect(name)


def test_it_needs_no_torch() -> None:
    code = "import sys, magedit.backbones.checkpoints.inspect; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
