"""SINE: the copy learns the picture, the model itself stays as it was, and nothing of the copy is left."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel

from magedit.backbones.checkpoints.fingerprint import fingerprint
from magedit.config import EditConfig
from magedit.errors import EditCanceled
from magedit.measures.report import Progress, Stage
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room, relative
from tests.magedit.methods.conftest import Trained, clean_of, latent_of

CONFIG = EditConfig(method="sine", steps=4, tune_steps=3, tune_learning_rate=1e-3, blend_fraction=0.0, seed=3)


def unets() -> int:
    gc.collect()
    return sum(type(each) is UNet2DConditionModel for each in gc.get_objects())


def test_the_more_it_is_tuned_the_nearer_its_own_sample_is_to_the_picture(trained: Trained) -> None:
    """The tuned model alone, under the source prompt, from noise."""
    config = replace(CONFIG, tune_weight=1.0, tune_fraction=1.0, guidance_scale=1.0, steps=8)
    errors = []
    for steps in (1, 40):
        output = trained.edit(replace(config, tune_steps=steps), target=trained.source)
        errors.append(relative(latent_of(output), clean_of(output)))
    assert errors[1] < 0.85 * errors[0]


def test_the_model_is_unchanged_and_the_copy_is_freed(pipe: MAGEditPipeline, room: Room) -> None:
    before, there = fingerprint(pipe.backbone), unets()
    pipe(room.image, [room.mask], room.source, room.target, (), CONFIG)
    assert fingerprint(pipe.backbone) == before
    assert not any(parameter.grad is not None for parameter in pipe.unet.parameters())
    assert unets() == there


def test_it_can_be_canceled_while_it_tunes(pipe: MAGEditPipeline, room: Room) -> None:
    before, there, reports = fingerprint(pipe.backbone), unets(), []

    def stop(progress: Progress) -> None:
        reports.append(progress)
        if progress.stage == Stage.OPTIMIZE and progress.step == 2:
            raise EditCanceled("enough")

    with pytest.raises(EditCanceled):
        pipe(room.image, [room.mask], room.source, room.target, (), CONFIG, on_progress=stop)
    assert (reports[-1].step, reports[-1].steps) == (2, 3)
    assert 0 < reports[-1].fraction < 1
    assert fingerprint(pipe.backbone) == before
    assert unets() == there


def test_without_the_tuned_model_it_is_sampling_from_the_prompt(pipe: MAGEditPipeline, room: Room) -> None:
    latents = [
        latent_of(pipe(room.image, [room.mask], room.source, room.target, (), config, output_type="latent"))
        for config in (replace(CONFIG, tune_weight=0.0), replace(CONFIG, tune_fraction=0.0), CONFIG)
    ]
    assert torch.equal(latents[0], latents[1])
    assert relative(latents[2], latents[0]) > 1e-3
