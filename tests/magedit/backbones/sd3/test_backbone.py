"""Stable Diffusion 3 against diffusers' pipeline, on a tiny real model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusion3Pipeline

from magedit.errors import CheckpointError
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.prompts.alignment import token_indices
from tests.magedit.conftest import Room, edit, latent_of
from tests.magedit.tiny import T5_TOKENS, write_sd3


@pytest.fixture(scope="module")
def own(sd3: Path) -> StableDiffusion3Pipeline:
    """diffusers' own pipeline."""
    return StableDiffusion3Pipeline.from_pretrained(sd3)


def test_encodes_as_diffusers_does(sd3: Path, own: StableDiffusion3Pipeline) -> None:
    backbone = MAGEditPipeline.from_pretrained(sd3).backbone
    with torch.no_grad():
        for prompt in ("a room with a red sofa", ""):
            told = backbone.encode(prompt)
            states, _, pooled, _ = own.encode_prompt(
                prompt, None, None, do_classifier_free_guidance=False, max_sequence_length=T5_TOKENS
            )
            torch.testing.assert_close(told.hidden_states, states)
            torch.testing.assert_close(told.pooled, pooled)
    assert states.shape[1] == backbone.text_columns == 77 + T5_TOKENS


def test_samples_as_diffusers_does(sd3: Path, own: StableDiffusion3Pipeline) -> None:
    backbone = MAGEditPipeline.from_pretrained(sd3).backbone
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    prompt = "a room with a red sofa"
    own.set_progress_bar_config(disable=True)
    wanted = own(
        prompt, latents=noise, num_inference_steps=3, guidance_scale=1.0, output_type="latent",
        max_sequence_length=T5_TOKENS, height=128, width=128,
    ).images  # fmt: skip
    process, latent = backbone.process(3), noise
    with torch.no_grad():
        told = backbone.encode(prompt)
        for t in process.timesteps:
            latent = process.step(backbone.predict(latent, t, told), t, latent)
    torch.testing.assert_close(latent, wanted, rtol=1e-4, atol=1e-4)


def test_words_have_the_columns_of_clip_and_of_t5(sd3: Path) -> None:
    backbone: Any = MAGEditPipeline.from_pretrained(sd3).backbone
    prompt = "a room with a red sofa"
    encoded = backbone.tokenize(prompt)
    columns = token_indices(prompt, encoded, "sofa")
    ids = backbone.tokenizer_3(prompt).input_ids
    piece = backbone.tokenizer_3.convert_tokens_to_ids("▁sofa")
    assert 77 + ids.index(piece) in columns
    assert any(column < 77 for column in columns)
    assert encoded.ids[77 : 77 + len(ids)] == tuple(ids)


@pytest.mark.parametrize("length", [T5_TOKENS, 0])
def test_without_t5(tmp_path: Path, small_room: Room, length: int) -> None:
    """Zeros stand in T5's columns, or nothing where the checkpoint says so."""
    folder = write_sd3(tmp_path / "checkpoint", t5=False)
    pipe = MAGEditPipeline.from_pretrained(folder, max_sequence_length=length)
    pipe.set_progress_bar_config(disable=True)
    with torch.no_grad():
        states = pipe.backbone.encode("a room").hidden_states
    assert states.shape[1] == 77 + length
    assert not states[:, 77:].any()
    assert torch.isfinite(latent_of(edit(pipe, small_room))).all()


def test_does_not_load_a_t5_that_its_index_leaves_out(tmp_path: Path) -> None:
    folder = write_sd3(tmp_path / "checkpoint")
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace(f'"max_sequence_length": {T5_TOKENS}', '"max_sequence_length": 0'))
    backbone: Any = MAGEditPipeline.from_pretrained(folder).backbone
    assert backbone.text_encoder_3 is None
    assert backbone.text_columns == 77


def test_with_a_second_attention_in_its_blocks(tmp_path: Path, small_room: Room) -> None:
    folder = write_sd3(tmp_path / "checkpoint", dual_attention_layers=(0, 1))
    pipe = MAGEditPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    assert torch.isfinite(latent_of(edit(pipe, small_room))).all()


@pytest.mark.parametrize("defaults", [{"stepps": 3}, {"steps": 1}, {"p2p": {"guidance_scale": -1}}])
def test_defaults_that_are_no_parameters_are_refused(sd3: Path, defaults: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="edit_defaults"):
        MAGEditPipeline.from_pretrained(sd3, edit_defaults=defaults)
