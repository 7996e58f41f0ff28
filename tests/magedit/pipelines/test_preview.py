"""Previews: where they are, what they show, how often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from magedit.config import EditConfig, InversionName, MethodName
from magedit.demo import checkpoint_path
from magedit.images.masks import dilate
from magedit.inversion.registry import INVERSIONS
from magedit.measures.report import PREVIEW_SIDE, Preview
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.pipelines.preview import LatentColours
from tests.magedit.conftest import FOR_DIFFUSION, Room

CONFIG = EditConfig(steps=4, max_iterations=1, tune_steps=1)


@pytest.fixture
def often(pipe: MAGEditPipeline, monkeypatch: pytest.MonkeyPatch) -> MAGEditPipeline:
    """The pipeline, with a preview of every step."""
    monkeypatch.setattr(pipe, "preview_interval_s", 0.0)
    return pipe


@pytest.mark.parametrize("method", FOR_DIFFUSION)
def test_previews_of_every_method_change_only_the_mask(often: MAGEditPipeline, room: Room, method: MethodName) -> None:
    seen: list[Preview] = []
    often(room.image, room.mask, room.source, room.target, (), replace(CONFIG, method=method), on_preview=seen.append)
    assert [each.step for each in seen] == sorted(each.step for each in seen)
    assert seen[-1].step == seen[-1].steps == CONFIG.steps
    outside = ImageChops.invert(dilate(room.mask, 8))
    for each in seen:
        assert (each.result, each.picture.size, each.picture.mode) == (0, (PREVIEW_SIDE, PREVIEW_SIDE), "RGB")
        changed = ImageChops.difference(each.picture, room.image)
        assert Image.composite(changed, Image.new("RGB", changed.size), outside).getbbox() is None
    assert ImageChops.difference(seen[-1].picture, room.image).getbbox() is not None


@pytest.mark.parametrize("inversion", list(INVERSIONS))
def test_the_steps_along_every_inversion_are_shown(
    often: MAGEditPipeline, room: Room, inversion: InversionName
) -> None:
    seen: list[Preview] = []
    config = replace(CONFIG, method="p2p", inversion=inversion, null_text_iterations=1, style_iterations=1)
    often(room.image, room.mask, room.source, room.target, (), config, on_preview=seen.append)
    assert [each.step for each in seen] == [1, 2, 3, 4]
    assert ImageChops.difference(seen[-1].picture, room.image).getbbox() is not None


def test_results_are_distinguished(often: MAGEditPipeline, room: Room) -> None:
    seen: list[Preview] = []
    often(room.image, room.mask, room.source, room.target, (), replace(CONFIG, n=2), on_preview=seen.append)
    assert {each.result for each in seen} == {0, 1}


def test_a_large_picture_is_reduced(often: MAGEditPipeline, room: Room) -> None:
    seen: list[Preview] = []
    image, mask = (each.resize((1024, 400)) for each in (room.image, room.mask))
    often(image, mask, room.source, room.target, (), CONFIG, on_preview=seen.append)
    assert seen[0].picture.size == (PREVIEW_SIDE, 100)


def test_there_are_no_more_than_asked_for(pipe: MAGEditPipeline, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Preview] = []
    monkeypatch.setattr(pipe, "preview_interval_s", 3600.0)
    pipe(room.image, room.mask, room.source, room.target, (), CONFIG, on_preview=seen.append)
    assert seen == []


def test_a_preview_changes_nothing_of_the_result(often: MAGEditPipeline, room: Room) -> None:
    inputs = (room.image, room.mask, room.source, room.target, (), CONFIG)
    plain, shown = often(*inputs), often(*inputs, on_preview=lambda _: None)
    assert plain.images[0].tobytes() == shown.images[0].tobytes()  # type: ignore[union-attr]


def test_the_colours_are_those_of_the_vae() -> None:
    backbone = MAGEditPipeline.from_pretrained(str(checkpoint_path())).backbone
    colours = LatentColours.fit(backbone)
    # No black: what the demo's four channels say of it is not linear.
    asked = [(200, 40, 40), (40, 160, 60), (50, 60, 200), (240, 240, 240)]
    for colour in asked:
        with torch.no_grad():
            latent = backbone.encode_image(Image.new("RGB", (backbone.size, backbone.size), colour))
        shown = np.asarray(colours.picture(latent), dtype=float).mean((0, 1))
        assert min(asked, key=lambda other: float(np.abs(shown - other).sum())) == colour
