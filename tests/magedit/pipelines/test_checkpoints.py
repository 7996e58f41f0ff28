"""The pipeline with other checkpoints: prediction, scheduler, step sizes, safety checker."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from diffusers import PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor

from magedit.backbones.stable_diffusion.backbone import StableDiffusion
from magedit.config import ConstraintName, EditConfig
from magedit.errors import (
    CheckpointError,
    NoGuidanceLayers,
    PictureNotFinite,
)
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import CHECKPOINT, Room, load_pipeline, objecting_checker
from tests.magedit.pipelines.quick import run


def test_facts_are_read_from_the_checkpoint(pipe: MAGEditPipeline) -> None:
    assert (pipe.vae_factor, pipe.latent_side, pipe.size, pipe.guidance_side, pipe.max_tokens) == (8, 32, 256, 8, 77)


def test_the_guidance_resolution_is_the_checkpoints_own(room: Room) -> None:
    sixteen = load_pipeline(guidance_resolution=16)
    assert run(sixteen, room).attention[0].shape == (16, 16)
    with pytest.raises(NoGuidanceLayers, match="12x12"):
        run(load_pipeline(guidance_resolution=12), room)


def test_half_precision_edits_with_fp32_latents(room: Room) -> None:
    output = run(load_pipeline(dtype=torch.bfloat16), room, output_type="latent")
    assert isinstance(output.images, torch.Tensor)
    assert output.images.dtype == torch.float32
    assert output.images.isfinite().all()


def test_v_prediction_is_read_from_the_checkpoint(pipe: MAGEditPipeline, room: Room) -> None:
    other = load_pipeline()
    other.scheduler.register_to_config(prediction_type="v_prediction")
    latents = [run(p, room, output_type="latent").images for p in (pipe, other)]
    assert all(isinstance(latent, torch.Tensor) and latent.isfinite().all() for latent in latents)
    assert not torch.allclose(latents[0], latents[1])  # type: ignore[arg-type]


def test_a_checkpoint_with_another_scheduler_edits_with_ddim(tmp_path: Path, room: Room) -> None:
    stock = StableDiffusionPipeline.from_pretrained(CHECKPOINT)
    stock.scheduler = PNDMScheduler.from_config(stock.scheduler.config, skip_prk_steps=True)
    stock.save_pretrained(tmp_path / "pndm")
    other: MAGEditPipeline = MAGEditPipeline.from_pretrained(tmp_path / "pndm")
    assert type(other.scheduler).__name__ == "DDIMScheduler"
    first, second = (run(p, room, output_type="latent").images for p in (other, load_pipeline()))
    assert torch.equal(first, second)  # type: ignore[arg-type]


def test_a_saved_pipeline_loads_again_with_its_own_keys(tmp_path: Path) -> None:
    load_pipeline(guidance_resolution=16, guidance_step_size=1.5).save_pretrained(tmp_path / "saved")
    again: MAGEditPipeline = MAGEditPipeline.from_pretrained(tmp_path / "saved")
    assert again.guidance_side == 16
    assert again.config.guidance_step_size == 1.5
    # And a folder of plain Stable Diffusion takes the keys in its model_index.json.
    shutil.copytree(CHECKPOINT, tmp_path / "plain")
    index = tmp_path / "plain" / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"guidance_resolution": 16}))
    plain: MAGEditPipeline = MAGEditPipeline.from_pretrained(tmp_path / "plain")
    assert plain.guidance_side == 16


def test_each_constraint_has_the_step_size_of_the_checkpoint(room: Room) -> None:
    def latent(constraint: ConstraintName, pipe: MAGEditPipeline, **given: Any) -> Tensor:
        config = EditConfig(steps=2, max_iterations=1, constraint=constraint, **given)
        images = run(pipe, room, config, output_type="latent").images
        assert isinstance(images, Tensor)
        return images

    both = load_pipeline(guidance_step_size=4.0, spatial_step_size=0.5)
    for constraint, scale in (("token", 4.0), ("spatial", 0.5)):
        name = cast("ConstraintName", constraint)
        assert torch.equal(latent(name, both), latent(name, load_pipeline(guidance_step_size=scale)))
    weighed = latent("both", load_pipeline(guidance_step_size=4.0), spatial_weight=0.125)
    assert torch.equal(latent("both", both), weighed)
    assert not torch.equal(latent("both", load_pipeline(guidance_step_size=4.0)), weighed)


def test_a_safety_checker_of_the_checkpoint_is_asked(pipe: MAGEditPipeline, room: Room) -> None:
    checker, extractor = objecting_checker()
    checked = load_pipeline(safety_checker=checker, feature_extractor=extractor)
    output = run(checked, room)
    assert output.nsfw_content_detected == [True]
    assert output.measures.nsfw_content_detected is True
    assert [each.code for each in output.warnings if each.code == "safety"] == ["safety"]
    assert run(pipe, room).measures.nsfw_content_detected is None


def test_a_vae_overflow_fails_the_edit(room: Room) -> None:
    broken = load_pipeline()
    assert broken.vae.decoder.conv_out.bias is not None
    broken.vae.decoder.conv_out.bias.data[0] = float("nan")
    with pytest.raises(PictureNotFinite, match="the decoded picture is NaN or infinite: the VAE overflows in"):
        run(broken, room)
    half = load_pipeline(dtype=torch.float16)
    half.vae.encoder.conv_in.bias.data[:] = 6e4
    with pytest.raises(PictureNotFinite, match=r"the picture's latent is NaN or infinite: .* in float16; use MAG"):
        run(half, room)


def test_inpainting_checkpoints_are_refused(pipe: MAGEditPipeline) -> None:
    unet = UNet2DConditionModel.from_config({**pipe.unet.config, "in_channels": 9})
    with pytest.raises(CheckpointError, match="takes 9 channels, the VAE gives 4"):
        StableDiffusion(pipe.vae, pipe.text_encoder, pipe.tokenizer, unet, pipe.scheduler)
