import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from magedit.demo.captions import SYNONYMS
from recipes.presets.stable_diffusion import TOY
from recipes.stages.text import build_text_encoder
from recipes.stages.tokenizer import build_tokenizer
from recipes.stages.unet import (
    NOISY_SNR,
    SHORT,
    TWINS,
    UnetStage,
    build_scheduler,
    build_unet,
    training_caption,
    training_scene,
)


def test_every_block_has_cross_attention() -> None:
    unet = build_unet(TOY.unet, 64, TOY.text.width)
    for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
        assert block.has_cross_attention


def test_the_scheduler_has_stable_diffusions_betas() -> None:
    config = build_scheduler().config
    assert (config.beta_start, config.beta_end, config.beta_schedule) == (0.00085, 0.012, "scaled_linear")
    assert (config.steps_offset, config.set_alpha_to_one, config.clip_sample) == (1, False, False)


def test_the_training_set_repeats() -> None:
    assert training_scene(1, 5) == training_scene(1, 5) != training_scene(1, 6)


def test_a_share_of_the_rooms_has_twins_and_a_share_of_the_captions_is_short() -> None:
    scenes = [training_scene(1, index) for index in range(400)]
    # pillows come in pairs in other rooms too
    kinds = [[thing.kind for thing in scene.things if thing.kind != "pillow"] for scene in scenes]
    assert 0.7 * TWINS < sum(len(set(each)) < len(each) for each in kinds) / len(scenes) < TWINS
    room = max(scenes, key=lambda scene: len({thing.kind for thing in scene.things}))
    names = [{thing.kind, SYNONYMS.get(thing.kind, thing.kind)} for thing in room.things]
    told = [training_caption(room, random.Random(seed)) for seed in range(400)]
    assert len(names) > 6
    short = [text for text in told if sum(any(name in text for name in either) for either in names) <= 4]
    assert 0.7 * SHORT < len(short) / len(told) < 1.3 * SHORT


def test_the_loss_depends_only_on_its_seed(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(tmp_path)
    stage = UnetStage(TOY, tokenizer, build_text_encoder(TOY.text, tokenizer), torch.randn(16, 4, 8, 8).half())
    with torch.no_grad():
        first = stage.loss("a", 0.0)[0].item()
        assert stage.loss("a", 0.0)[0].item() == first != stage.loss("b", 0.0)[0].item()


def test_noisy_time_steps_have_their_share(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(tmp_path)
    stage = UnetStage(TOY, tokenizer, build_text_encoder(TOY.text, tokenizer), torch.randn(16, 4, 8, 8).half())
    snr = stage.alphas / (1 - stage.alphas)
    steps = [stage.timestep(number / 1000) for number in range(1000)]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0, len(snr) - 1)
    assert sum(bool(snr[step] < NOISY_SNR) for step in steps) == pytest.approx(1000 * TOY.unet.noisy, abs=2)


@pytest.mark.parametrize("tune_text", [True, False])
def test_the_text_encoder_is_trained_on_request(tmp_path: Path, tune_text: bool) -> None:
    tokenizer = build_tokenizer(tmp_path)
    preset = replace(TOY, unet=replace(TOY.unet, tune_text=tune_text))
    stage = UnetStage(preset, tokenizer, build_text_encoder(TOY.text, tokenizer), torch.randn(16, 4, 8, 8).half())
    stage.loss("a", 0.0)[0].backward()  # type: ignore[no-untyped-call]
    assert all((weight.grad is not None) == tune_text for weight in stage.encoder.parameters())
    assert all(weight.grad is not None for weight in stage.unet.parameters())
