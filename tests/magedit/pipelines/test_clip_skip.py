"""Clip skip: the last layers of CLIP's text encoders that a prompt's states leave out, as diffusers counts them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusion3Pipeline, StableDiffusionPipeline, StableDiffusionXLPipeline

from magedit.backbones.base import Backbone
from magedit.backbones.registry import load_backbone
from magedit.config import EditConfig
from magedit.errors import InvalidEdit, InvalidParameter
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.conftest import CHECKPOINT
from tests.magedit.backbones.sdxl.tiny import sdxl_checkpoint
from tests.magedit.conftest import Room, load_pipeline
from tests.magedit.tiny import T5_TOKENS, write_flux, write_sd3

PROMPT = "a room with a red sofa"


@pytest.fixture(params=["sd", "sdxl", "sd3"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Backbone, Any]:
    """A checkpoint as this program has it, and as diffusers has it."""
    folder, kind, options = CHECKPOINT, StableDiffusionPipeline, {"safety_checker": None}
    if request.param == "sdxl":
        folder, kind, options = sdxl_checkpoint(tmp_path), StableDiffusionXLPipeline, {}
    elif request.param == "sd3":
        folder, kind, options = write_sd3(tmp_path), StableDiffusion3Pipeline, {}
    return load_backbone(folder), kind.from_pretrained(folder, **options)


@torch.no_grad()
def test_states_are_those_of_diffusers(both: tuple[Backbone, Any]) -> None:
    ours, theirs = both
    given: dict[str, Any] = {"do_classifier_free_guidance": False}
    if isinstance(theirs, StableDiffusion3Pipeline):
        given |= {"prompt_2": None, "prompt_3": None, "max_sequence_length": T5_TOKENS}
    plain = ours.encode(PROMPT)
    for skipped in range(1, ours.max_clip_skip + 1):
        told = ours.encode(PROMPT, skipped)
        if isinstance(theirs, StableDiffusionPipeline):
            # Its own `encode_prompt` looks for a module that transformers 5 has not: the same by a shorter encoder.
            ids = theirs.tokenizer(PROMPT, padding="max_length", return_tensors="pt").input_ids
            shorter = copy.deepcopy(theirs.text_encoder)
            shorter.encoder.layers = shorter.encoder.layers[:-skipped]
            states, rest = shorter(ids)[0], []
        else:
            states, *rest = theirs.encode_prompt(PROMPT, clip_skip=skipped, **given)
        torch.testing.assert_close(told.hidden_states, states)
        assert not torch.equal(told.hidden_states, plain.hidden_states)
        if told.pooled is not None:
            torch.testing.assert_close(told.pooled, rest[1])
    assert ours.max_clip_skip > 0


def test_clip_skip_applies_to_edit_and_inversion(room: Room) -> None:
    pipe = load_pipeline()
    given = (room.image, room.mask, room.source, room.target)
    config: dict[str, Any] = {"steps": 2, "max_iterations": 1}
    plain = pipe(*given, config=EditConfig(**config))
    skipped = pipe(*given, config=EditConfig(clip_skip=1, **config))
    assert not torch.equal(plain.inversion.inverted.latents[0], skipped.inversion.inverted.latents[0])
    with pytest.raises(InvalidEdit, match="clip_skip"):
        pipe(*given, config=EditConfig(clip_skip=1, **config), inversion=plain.inversion)
    # A checkpoint that was trained so says so.
    pipe.backbone.register_to_config(edit_defaults={"clip_skip": 1})  # type: ignore[attr-defined]
    own = pipe(*given, config=EditConfig(**config))
    assert torch.equal(own.inversion.inverted.latents[0], skipped.inversion.inverted.latents[0])


def test_more_layers_than_there_are_is_refused(room: Room, tmp_path: Path) -> None:
    given = (room.image, room.mask, room.source, room.target)
    pipe = load_pipeline()
    most = pipe.backbone.max_clip_skip
    with pytest.raises(InvalidParameter, match=f"clip_skip {most + 1}: at most {most} layers"):
        pipe(*given, config=EditConfig(clip_skip=most + 1))
    flux: MAGEditPipeline = MAGEditPipeline.from_pretrained(write_flux(tmp_path))
    with pytest.raises(InvalidParameter, match="at most 0 layers"):
        flux(*given, config=EditConfig(clip_skip=1))
