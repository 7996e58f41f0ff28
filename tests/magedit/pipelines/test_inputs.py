"""What the pipeline takes from library callers, and what it tells them while it works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from magedit.backbones.base import Conditioning
from magedit.backbones.stable_diffusion.backbone import StableDiffusion
from magedit.config import EditConfig, Region
from magedit.errors import InvalidEdit
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room, load_pipeline

FEW: dict[str, Any] = {"steps": 2, "max_iterations": 1, "guided_fraction": 1.0}


def test_a_single_mask_and_region_arrays_and_paths_give_the_same_edit(
    pipe: MAGEditPipeline, room: Room, tmp_path: Path
) -> None:
    config, prompts = EditConfig(**FEW), (room.source, room.target)
    wanted = pipe(room.image, [room.mask], *prompts, [Region(words=("green",))], config)
    room.image.save(tmp_path / "room.png")
    mask = np.asarray(room.mask) > 0
    for image, masks in ((np.asarray(room.image), mask), (tmp_path / "room.png", [mask])):
        got = pipe(image, masks, *prompts, Region(words=("green",)), config)
        assert np.array_equal(np.asarray(got.images[0]), np.asarray(wanted.images[0]))


def test_sixteen_bit_grey_is_edited_as_the_grey_that_it_is(pipe: MAGEditPipeline, room: Room) -> None:
    grey = np.asarray(room.image.convert("L"))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    got = pipe(deep, room.mask, room.source, room.target, config=EditConfig(**FEW)).images[0]
    outside = np.asarray(room.mask) == 0
    outside[120:220, 40:170] = False
    assert np.array_equal(np.asarray(got)[outside][:, 0], grey[outside])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": None}, "`masks` is NoneType: pass a Pillow image"),
        ({"regions": ["green"]}, r"`regions` has a value of type str: pass `Region\(words=...\)`"),
        ({"config": {"steps": 5}}, r"`config` has a value of type dict: pass `EditConfig\(...\)`"),
        ({"target_prompt": ["a room"]}, "`target_prompt` has a value of type list: pass one text"),
        ({"source_prompt": 5}, "`source_prompt` has a value of type int: pass one text"),
        ({"source_prompt": None}, "say what the image shows"),
    ],
)
def test_invalid_arguments_are_rejected_in_one_sentence(
    pipe: MAGEditPipeline, room: Room, change: dict[str, Any], message: str
) -> None:
    arguments: dict[str, Any] = {
        "image": room.image,
        "masks": room.mask,
        "source_prompt": room.source,
        "target_prompt": room.target,
    }
    with pytest.raises(InvalidEdit, match=message):
        pipe(**(arguments | change))


def test_each_prompt_is_encoded_once_for_all_results(
    pipe: MAGEditPipeline, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = StableDiffusion.encode

    def counted(self: StableDiffusion, prompt: str, **given: Any) -> Conditioning:
        encoded.append(prompt)
        return encode(self, prompt, **given)

    monkeypatch.setattr(StableDiffusion, "encode", counted)
    pipe(room.image, room.mask, room.source, room.target, config=EditConfig(**FEW, n=2, negative_prompt="a red room"))
    assert sorted(encoded) == sorted((room.source, room.target, "", "a red room"))


def test_the_progress_bar_is_configured_as_in_diffusers(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = load_pipeline()
    pipe.set_progress_bar_config(mininterval=0)
    pipe(room.image, room.mask, room.source, room.target, config=EditConfig(**FEW))
    shown = capsys.readouterr().err
    assert "invert 1/2: " in shown
    assert "decode 1/1: 100%" in shown
    pipe.set_progress_bar_config(disable=True)
    pipe(room.image, room.mask, room.source, room.target, config=EditConfig(**FEW))
    assert capsys.readouterr().err == ""


def test_outputs_are_shown_in_a_line(pipe: MAGEditPipeline, room: Room) -> None:
    output = pipe(room.image, room.mask, room.source, room.target, config=EditConfig(**FEW))
    assert repr(output).startswith("MAGEditOutput(1 of 256x256, token ratio 0.")
    assert " UNet passes, " in repr(output)
    for each in (output, output.inversion):
        assert len(repr(each)) < 200
        assert "tensor" not in repr(each)
        assert "\n" not in repr(each)
    assert repr(output.inversion).startswith("Inversion('a room with a red sofa', steps=2, inversion='direct', crop ")
