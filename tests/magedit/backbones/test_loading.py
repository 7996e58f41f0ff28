"""Checkpoints as people keep them: half-precision files alone, another VAE, no safety checker, options that miss."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from jobs.settings import Settings
from magedit.backbones.checkpoints.single_file.loader import CONFIGS
from magedit.errors import CheckpointError
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.backbones.checkpoints.single_file.original_layout import vae_tensors
from tests.magedit.backbones.sdxl.tiny import sdxl_checkpoint
from tests.magedit.conftest import CHECKPOINT
from tests.magedit.tiny import write_flux, write_sd3
from worker.models.served_model import load

WEIGHTS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """The tiny checkpoint with files of the variant fp16 alone."""
    folder = tmp_path / "half"
    shutil.copytree(CHECKPOINT, folder)
    for part, stem in WEIGHTS.items():
        file = folder / part / f"{stem}.safetensors"
        tensors = {name: each.half() for name, each in load_file(file).items()}
        file.unlink()
        save_file(tensors, folder / part / f"{stem}.fp16.safetensors", {"format": "pt"})
    return folder


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another VAE for the tiny checkpoint, with weights of its own."""
    folder = tmp_path / "other"
    torch.manual_seed(1)
    config = AutoencoderKL.load_config(CHECKPOINT / "vae")
    AutoencoderKL.from_config(config).save_pretrained(folder)
    return folder


def first(vae: AutoencoderKL) -> torch.Tensor:
    weight: torch.Tensor = vae.encoder.conv_in.weight.detach()
    return weight


def test_a_folder_with_only_fp16_files_loads(half: Path) -> None:
    whole, found = MAGEditPipeline.from_pretrained(CHECKPOINT), MAGEditPipeline.from_pretrained(half)
    assert found.vae.dtype == torch.float32
    assert torch.equal(first(found.vae), first(whole.vae).half().float())


def _own(folder: Path, _half: Path) -> Path:
    return folder


def _of_a_checkpoint(folder: Path, _half: Path) -> Path:
    whole = folder.parent / "whole"
    shutil.copytree(folder, whole / "vae")
    return whole


def _of_fp16_files(_folder: Path, half: Path) -> Path:
    return half


@pytest.mark.parametrize("place", [_own, _of_a_checkpoint, _of_fp16_files])
def test_another_vae_takes_the_place_of_the_checkpoints_own(
    place: Callable[[Path, Path], Path], other: Path, half: Path
) -> None:
    folder = place(other, half)
    served = load(Settings(checkpoint=str(CHECKPOINT), vae=str(folder), device="cpu"))
    assert served.editor.backbone.dtype == torch.float32  # type: ignore[attr-defined]
    (file,) = (folder if place is _own else folder / "vae").glob("*.safetensors")
    wanted = load_file(file)["encoder.conv_in.weight"].float()
    assert torch.equal(first(served.editor.vae), wanted)  # type: ignore[attr-defined]


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_vae_in_a_single_file_loads_without_a_network(suffix: str, tmp_path: Path) -> None:
    config = AutoencoderKL.load_config(CONFIGS / "sd1", subfolder="vae")
    torch.manual_seed(2)
    narrow = AutoencoderKL.from_config(config | {"block_out_channels": [32] * 4})
    file = tmp_path / f"vae{suffix}"
    tensors = vae_tensors(narrow.state_dict())
    if suffix == ".ckpt":
        torch.save({"state_dict": tensors}, file)
    else:
        save_file(tensors, file)
    pipe = MAGEditPipeline.from_pretrained(CHECKPOINT, vae=file)
    assert torch.equal(first(pipe.vae), first(narrow))


def _vae_file(folder: Path, vae: AutoencoderKL) -> Path:
    file = folder / "vae.safetensors"
    save_file(vae_tensors(vae.state_dict()), file)
    return file


@pytest.mark.parametrize("write", [sdxl_checkpoint, write_sd3, write_flux])
def test_a_vae_in_a_single_file_takes_the_scaling_of_the_checkpoint(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = write(tmp_path / "checkpoint")
    changes = {"force_upcast": False, "scaling_factor": 0.77, "sample_size": 128}
    config = folder / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    wanted = AutoencoderKL.from_pretrained(folder, subfolder="vae")
    got = MAGEditPipeline.from_pretrained(folder, vae=_vae_file(tmp_path, wanted)).vae
    assert {name: got.config[name] for name in changes} == changes
    assert got.config.shift_factor == wanted.config.shift_factor
    assert got.config.latent_channels == wanted.config.latent_channels
    tensors = got.state_dict()
    assert all(torch.equal(each, tensors[name]) for name, each in wanted.state_dict().items())


def test_a_vae_in_a_single_file_keeps_its_own_shapes(tmp_path: Path) -> None:
    folder = write_sd3(tmp_path / "checkpoint")
    config = AutoencoderKL.load_config(folder, subfolder="vae")
    changed = {"layers_per_block": 2, "mid_block_add_attention": False, "use_quant_conv": False}
    wanted = AutoencoderKL.from_config(config | changed | {"use_post_quant_conv": False})
    got = MAGEditPipeline.from_pretrained(folder, vae=_vae_file(tmp_path, wanted)).vae
    assert {name: got.config[name] for name in changed} == changed
    assert torch.equal(first(got), first(wanted))


def test_a_single_file_vae_uses_the_familys_scaling_by_default(tmp_path: Path) -> None:
    folder = sdxl_checkpoint(tmp_path / "checkpoint")
    shutil.rmtree(folder / "vae")
    config = AutoencoderKL.load_config(CONFIGS / "sdxl", subfolder="vae")
    file = _vae_file(tmp_path, AutoencoderKL.from_config(config | {"block_out_channels": [32] * 4}))
    found = MAGEditPipeline.from_pretrained(folder, vae=file).vae.config
    assert (found["scaling_factor"], found["force_upcast"]) == (0.13025, True)


def test_a_single_file_vae_of_unknown_scaling_is_rejected(tmp_path: Path) -> None:
    folder = write_sd3(tmp_path / "checkpoint")
    file = _vae_file(tmp_path, AutoencoderKL.from_pretrained(folder, subfolder="vae"))
    shutil.rmtree(folder / "vae")
    with pytest.raises(CheckpointError, match=r"which has no vae/config.json, says how"):
        MAGEditPipeline.from_pretrained(folder, vae=file)


def test_a_file_without_a_vae_is_rejected_with_the_missing_tensor(tmp_path: Path) -> None:
    file = tmp_path / "vae.safetensors"
    save_file({"w": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match=r"it has no tensor 'encoder.down.0.block.0.conv2.weight'"):
        MAGEditPipeline.from_pretrained(CHECKPOINT, vae=file)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"revision": "main"}, "MAGEDIT_REVISION"),
        ({"variant": "fp16"}, "no weights of variant 'fp16'"),
        ({"vae": "/no/such/vae"}, "the VAE '/no/such/vae' cannot be loaded"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        MAGEditPipeline.from_pretrained(CHECKPOINT, **options)
