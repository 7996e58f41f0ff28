"""Checkpoints that were distilled for few steps: their own timesteps, guidance and defaults; nothing is inverted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer

from magedit.backbones.base import frozen
from magedit.backbones.checkpoints.inspect import inspect
from magedit.backbones.stable_diffusion.attention import capturing
from magedit.backbones.stable_diffusion.guidance_embedding import guidance_embedding
from magedit.config import EditConfig
from magedit.edits.asked import AskedEdit
from magedit.edits.resolve import resolve
from magedit.errors import CheckpointError, InvalidParameter, UnknownMethod
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import CHECKPOINT, Room, relative

WIDTH = 32
"""Of the guidance embedding."""
BETAS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def write(folder: Path, scheduler: Any, *, embedding: int | None = None) -> Path:
    """The tiny checkpoint with this scheduler, and a UNet that takes a guidance embedding if it has a width."""
    torch.manual_seed(0)
    base = UNet2DConditionModel.from_pretrained(CHECKPOINT, subfolder="unet")
    unet = UNet2DConditionModel.from_config({**base.config, "time_cond_proj_dim": embedding})
    unet.load_state_dict(base.state_dict(), strict=False)
    StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(CHECKPOINT, subfolder="vae"),
        text_encoder=CLIPTextModel.from_pretrained(CHECKPOINT, subfolder="text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(CHECKPOINT, subfolder="tokenizer"),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def with_keys(folder: Path, **keys: Any) -> Path:
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | keys))
    return folder


def lcm_scheduler() -> LCMScheduler:
    return LCMScheduler(**BETAS, original_inference_steps=25)


def turbo_scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(**BETAS, timestep_spacing="trailing")


@pytest.fixture(scope="module")
def lcm(tmp_path_factory: pytest.TempPathFactory) -> MAGEditPipeline:
    folder = write(tmp_path_factory.mktemp("lcm"), lcm_scheduler(), embedding=WIDTH)
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(folder)
    return pipe


@pytest.fixture(scope="module")
def turbo(tmp_path_factory: pytest.TempPathFactory) -> MAGEditPipeline:
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(write(tmp_path_factory.mktemp("turbo"), turbo_scheduler()))
    return pipe


def test_they_are_recognised_by_scheduler_and_unet(tmp_path: Path) -> None:
    embedded = inspect(write(tmp_path / "lcm", lcm_scheduler(), embedding=WIDTH))
    merged = inspect(write(tmp_path / "merged", lcm_scheduler()))
    trailing = inspect(write(tmp_path / "turbo", turbo_scheduler()))
    assert [each.family for each in (embedded, merged, trailing)] == ["lcm", "lcm", "turbo"]
    assert all(each.is_supported for each in (embedded, merged, trailing))


def test_timesteps_are_the_checkpoints_own(lcm: MAGEditPipeline, turbo: MAGEditPipeline) -> None:
    scheduler = lcm_scheduler()
    for steps in (1, 4, 8):
        scheduler.set_timesteps(steps)
        process = lcm.backbone.process(steps)
        assert process.timesteps == tuple(int(t) for t in scheduler.timesteps)
        assert [process.following(t) for t in process.timesteps] == [*process.timesteps[1:], -1]
    assert turbo.backbone.process(1).timesteps == (999,)
    assert turbo.backbone.process(4).timesteps == (999, 749, 499, 249)


def test_more_steps_than_it_was_distilled_at_are_refused(lcm: MAGEditPipeline) -> None:
    with pytest.raises(InvalidParameter, match="26 steps: the checkpoint was distilled for at most 25") as caught:
        lcm.backbone.process(26)
    assert caught.value.field == "steps"


@torch.no_grad()
def test_the_network_gets_its_guidance_scale_in_whole_and_truncated_passes(lcm: MAGEditPipeline) -> None:
    backbone = lcm.backbone
    prompt, sites = backbone.encode("a room with a sofa"), backbone.guidance_sites
    latent = torch.randn(1, 4, backbone.latent_side, backbone.latent_side, generator=torch.Generator().manual_seed(0))
    found = {}
    with frozen(lcm.unet):
        for scale in (1.0, 5.0):
            told = prompt.guided(scale)
            with capturing(lcm.unet, sites) as whole:
                output = backbone.predict(latent, 499, told)
            with capturing(lcm.unet, sites) as truncated:
                backbone.attend(latent, 499, told, sites[-1])
            assert all(torch.equal(whole[site.name], truncated[site.name]) for site in sites)
            condition = guidance_embedding(torch.tensor([scale]), WIDTH)
            wanted = lcm.unet(latent, 499, prompt.hidden_states, timestep_cond=condition).sample
            assert relative(output, wanted) < 1e-4
            found[scale] = output
    assert relative(found[5.0], found[1.0]) > 1e-4


def test_an_edit_takes_the_checkpoints_defaults(lcm: MAGEditPipeline, turbo: MAGEditPipeline, room: Room) -> None:
    for pipe, scale in ((lcm, 3.0), (turbo, 1.0)):
        output = pipe(room.image, [room.mask], room.source, room.target, (), EditConfig(max_iterations=1))
        config = output.inversion.config
        assert (config.inversion, config.steps, config.guidance_scale) == ("virtual", 8, scale)
        # The source's pass and the edit's in each step; guidance in the first half of them.
        assert output.measures.unet_forward == 2 * 8
        assert [step.step for step in output.measures.trace] == [0, 1, 2, 3]
        assert output.measures.outside_difference == 0


def test_inversions_are_rejected_with_the_reason(lcm: MAGEditPipeline, room: Room) -> None:
    for config, field, told in (
        (EditConfig(inversion="direct"), "inversion", "use inversion 'virtual'"),
        (EditConfig.preset("exact"), "inversion", "does not support inversion 'null-text'"),
        (EditConfig(method="diffedit"), "method", "cannot be inverted"),
    ):
        with pytest.raises(UnknownMethod, match=told) as caught:
            lcm(room.image, [room.mask], room.source, room.target, (), config)
        assert caught.value.field == field


def test_the_preset_turbo_leaves_a_few_step_checkpoint_its_own(lcm: MAGEditPipeline, pipe: MAGEditPipeline) -> None:
    asked = AskedEdit(
        source_prompt="a red sofa",
        target_prompt="a green sofa",
        preset="turbo",
        config=EditConfig.preset("turbo"),
    )
    for where, origin in ((lcm, "checkpoint"), (pipe, "preset")):
        found = resolve(asked, where._checkpoint)
        for name, value in (("steps", 8), ("guidance_scale", 3.0), ("inversion", "virtual")):
            assert found.parameters[name] == (value, origin)


def test_keys_of_the_checkpoint_win(tmp_path: Path) -> None:
    folder = write(tmp_path / "merged", turbo_scheduler())
    keys = {"timesteps": "consistency", "edit_defaults": {"steps": 6, "guidance_scale": 1.5}}
    backbone = MAGEditPipeline.from_pretrained(with_keys(folder, **keys)).backbone
    scheduler = LCMScheduler(**BETAS)
    scheduler.set_timesteps(6)
    assert backbone.process(6).timesteps == tuple(int(t) for t in scheduler.timesteps)
    assert (backbone.defaults["steps"], backbone.defaults["guidance_scale"]) == (6, 1.5)
    assert "few-step" in backbone.traits


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"timesteps": "karras"}, "its timesteps .* are 'karras': use one of leading, trailing, consistency"),
        ({"edit_defaults": {"steps": 0}}, "edit_defaults"),
        ({"edit_defaults": {"mag-edt": {"steps": 8}}}, "name an unknown method 'mag-edt': use one of mag-edit, "),
        ({"edit_defaults": {"mag-edit": 8}}, "edit_defaults"),
    ],
)
def test_keys_that_say_nothing_are_refused(tmp_path: Path, keys: dict[str, Any], told: str) -> None:
    folder = with_keys(write(tmp_path / "turbo", turbo_scheduler()), **keys)
    with pytest.raises(CheckpointError, match=told):
        MAGEditPipeline.from_pretrained(folder)
