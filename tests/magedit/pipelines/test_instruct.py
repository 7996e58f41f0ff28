"""Editing by instruction, on a tiny real checkpoint of that layout: eight input channels."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from PIL import Image, ImageChops

from magedit.backbones.checkpoints.inspect import inspect
from magedit.config import EditConfig, Region
from magedit.demo import demo_edit, instruct_checkpoint_path
from magedit.demo.evaluate import judge_edit
from magedit.demo.instructions import instruction
from magedit.demo.vocabulary import INSTRUCTIONS, check_prompt
from magedit.edits.checkpoint import closed_vocabulary
from magedit.errors import (
    CheckpointError,
    EditCanceled,
    MaskMismatch,
    NotTogether,
    PromptTooLong,
    UnknownMethod,
    WordNotFound,
)
from magedit.images.masks import outside_difference, outside_sha256
from magedit.measures.report import Progress
from magedit.pipelines.instruct import InstructPipeline
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import CHECKPOINT, Room, objecting_checker

CONFIG = EditConfig(method="instruct-pix2pix", steps=3)
INSTRUCTION = "make the sofa green"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return instruct_checkpoint(tmp_path_factory.mktemp("instruct"))


def instruct_checkpoint(folder: Path) -> Path:
    """The tiny checkpoint with a UNet of the same shape that takes the picture too, weights drawn."""
    torch.manual_seed(0)
    config = UNet2DConditionModel.load_config(CHECKPOINT, subfolder="unet")
    unet = UNet2DConditionModel.from_config({**config, "in_channels": 8})
    pipe = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        CHECKPOINT, unet=unet, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def instructed(checkpoint: Path) -> InstructPipeline:
    return InstructPipeline.from_pretrained(str(checkpoint))


def test_the_layout_follows_from_the_channels(checkpoint: Path) -> None:
    assert inspect(checkpoint).family == "instruct-pix2pix"
    assert inspect(CHECKPOINT).family == "sd"
    with pytest.raises(CheckpointError, match=r"is an InstructPix2Pix checkpoint .* load it with InstructPipeline"):
        MAGEditPipeline.from_pretrained(checkpoint)
    with pytest.raises(CheckpointError, match="does not edit by instruction: load it with MAGEditPipeline"):
        InstructPipeline.from_pretrained(str(CHECKPOINT))


def test_it_edits_only_inside_the_mask(instructed: InstructPipeline, room: Room) -> None:
    assert (instructed.size, instructed.max_tokens) == (256, 77)
    output = instructed(room.image, [room.mask], "", INSTRUCTION, (), CONFIG)
    assert isinstance(output.images, list)
    (result,) = output.images
    assert result.size == room.image.size
    assert ImageChops.difference(room.image, result).getbbox() is not None
    assert outside_difference(room.image, result, room.mask, output.measures.paste_margin_px) == 0
    untouched = outside_sha256(room.image.convert("RGB"), room.mask, output.measures.paste_margin_px)
    assert output.measures.results[0].outside_sha256 == untouched
    assert (output.measures.unet_forward, output.measures.outside_difference) == (3, 0)


def test_the_picture_guides_it(instructed: InstructPipeline, room: Room) -> None:
    results = [
        instructed(
            room.image,
            [room.mask],
            "",
            INSTRUCTION,
            (),
            EditConfig(method="instruct-pix2pix", steps=3, image_guidance_scale=scale),
        ).images
        for scale in (1.5, 1.5, 4.0)
    ]
    pictures = [each[0].tobytes() for each in results if isinstance(each, list)]
    assert pictures[0] == pictures[1] != pictures[2]


def test_it_reports_and_can_be_canceled(instructed: InstructPipeline, room: Room) -> None:
    reports: list[Progress] = []

    def stop(progress: Progress) -> None:
        reports.append(progress)
        if progress.step == 2:
            raise EditCanceled("enough")

    with pytest.raises(EditCanceled):
        instructed(room.image, [room.mask], "", INSTRUCTION, (), CONFIG, on_progress=stop)
    assert reports[-1].fraction == pytest.approx(2 / 3)


def test_unsupported_requests_are_rejected(instructed: InstructPipeline, room: Room) -> None:
    with pytest.raises(UnknownMethod, match="has no method 'p2p'; it has instruct-pix2pix"):
        instructed(room.image, [room.mask], "", INSTRUCTION, (), EditConfig(method="p2p"))
    with pytest.raises(MaskMismatch):
        instructed(room.image, [], "", INSTRUCTION, (), CONFIG)
    with pytest.raises(PromptTooLong, match="exceed the limit"):
        instructed(room.image, room.mask, "", f"{INSTRUCTION} and " * 40, (), CONFIG)
    with pytest.raises(WordNotFound):
        instructed(room.image, room.mask, "", INSTRUCTION, Region(words=("lamp",)), CONFIG)
    with pytest.raises(NotTogether, match="does not use sweep"):
        instructed(room.image, room.mask, "", INSTRUCTION, (), replace(CONFIG, sweep=(0.5, 1.0)))
    inversion = instructed(room.image, room.mask, "", INSTRUCTION, (), CONFIG).inversion
    with pytest.raises(NotTogether, match="leave `inversion` out"):
        instructed(room.image, room.mask, "", INSTRUCTION, (), CONFIG, inversion=inversion)


def test_its_own_method_is_the_default(instructed: InstructPipeline, room: Room) -> None:
    output = instructed(room.image, room.mask, "", INSTRUCTION, (), EditConfig(steps=2))
    assert [each.method for each in output.measures.results] == ["instruct-pix2pix"]


def test_a_checkpoint_named_after_magicbrush_is_one(checkpoint: Path, tmp_path: Path) -> None:
    linked = tmp_path / "MagicBrush-jul7"
    linked.symlink_to(checkpoint)
    assert InstructPipeline.from_pretrained(str(linked)).method == "magicbrush"


def test_the_checkpoint_that_ships_follows_instructions() -> None:
    pipe = InstructPipeline.from_pretrained(str(instruct_checkpoint_path()))
    assert closed_vocabulary(instruct_checkpoint_path()) == tuple(chain(*INSTRUCTIONS.values()))
    edit = demo_edit("carpet")
    told = instruction(edit)
    check_prompt(told, INSTRUCTIONS)
    output = pipe(edit.image(pipe.size), [edit.mask(pipe.size)], "", told, (), EditConfig(method=pipe.method, steps=20))
    (result,) = output.images
    assert isinstance(result, Image.Image)
    assert judge_edit(edit, result, pipe.size)["success"] == 1.0


def test_flagged_pictures_are_reported_and_not_blackened(
    checkpoint: Path, instructed: InstructPipeline, room: Room
) -> None:
    checker, extractor = objecting_checker()
    checked = InstructPipeline.from_pretrained(str(checkpoint), safety_checker=checker, feature_extractor=extractor)
    flagged = checked(room.image, room.mask, "", INSTRUCTION, (), CONFIG)
    plain = instructed(room.image, room.mask, "", INSTRUCTION, (), CONFIG)
    assert (flagged.nsfw_content_detected, plain.nsfw_content_detected) == ([True], None)
    assert isinstance(flagged.images, list)
    assert isinstance(plain.images, list)
    assert flagged.images[0].tobytes() == plain.images[0].tobytes()
    assert "safety" in {each.code for each in flagged.warnings}
