import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import JointAttnProcessor2_0

from magedit.demo.captions import varied_caption
from magedit.demo.flow_model import PADDING, encode_words
from magedit.demo.vocabulary import TOLD
from recipes.presets.flow import FLOW_TOY
from recipes.stages.flow import FlowStage, TowersStage, build_encoder, draw_room, flow_scene
from recipes.stages.tokenizer import build_tokenizer
from recipes.training.loop import Run, train

PROMPTS = ["a red sofa stands on the left", ""]


def _stage(folder: Path) -> FlowStage:
    torch.manual_seed(0)
    tokenizer = build_tokenizer(folder, TOLD)
    encoders = [build_encoder(recipe, tokenizer) for recipe in (FLOW_TOY.text, FLOW_TOY.second_text)]
    return FlowStage(FLOW_TOY, tokenizer, encoders, torch.randn(16, 8, 8, 8).half())


def test_the_training_set_repeats_and_holds_more_patterns() -> None:
    assert flow_scene(1, 5) == flow_scene(1, 5) != flow_scene(1, 6)
    patterns = {thing.pattern for index in range(60) for thing in flow_scene(1, index).things}
    assert patterns >= {"checked", "zigzag", "striped", "plaid"}


@pytest.mark.parametrize("padded", [False, True])
def test_training_attention_matches_diffusers(tmp_path: Path, padded: bool) -> None:
    stage = _stage(tmp_path)
    latents, time = torch.randn(2, 8, 8, 8), torch.tensor([0.2, 0.9])
    with torch.no_grad():
        trained = stage.velocity(latents, time, PROMPTS, padded)
        words, pooled = encode_words(stage.tokenizer, stage.encoders, PROMPTS)
        stage.transformer.set_attn_processor(JointAttnProcessor2_0())
        # what `StableDiffusion3Pipeline` feeds: one column of zeros counted as often is the same
        plain = stage.transformer(
            latents,
            encoder_hidden_states=F.pad(words, (0, 0, 0, PADDING)) if padded else words,
            pooled_projections=pooled,
            timestep=time * 1000,
            return_dict=False,
        )[0]
    torch.testing.assert_close(trained, plain, rtol=1e-4, atol=1e-5)


def test_the_loss_depends_only_on_its_seed(tmp_path: Path) -> None:
    stage = _stage(tmp_path)
    with torch.no_grad():
        first = stage.loss("a", 0.0)[0].item()
        assert stage.loss("a", 0.0)[0].item() == first != stage.loss("b", 0.0)[0].item()


def test_times_are_logit_normal(tmp_path: Path) -> None:
    stage = _stage(tmp_path)
    times = torch.tensor([stage.time((number + 0.5) / 2000) for number in range(2000)], dtype=torch.float64)
    assert (times.diff() > 0).all()
    logits = torch.logit(times)
    assert logits.mean().item() == pytest.approx(FLOW_TOY.flow.mean, abs=0.01)
    assert logits.std().item() == pytest.approx(FLOW_TOY.flow.deviation, abs=0.02)


def test_transformer_and_both_text_encoders_learn(tmp_path: Path) -> None:
    stage = _stage(tmp_path)
    stage.loss("a", 0.0)[0].backward()  # type: ignore[no-untyped-call]
    assert [name for name, weight in stage.model.named_parameters() if weight.grad is None] == []


def test_a_flow_is_learnt_in_bfloat16(tmp_path: Path) -> None:
    stage = _stage(tmp_path / "tokenizer")
    stage.recipe = replace(stage.recipe, bfloat16=True)
    stage.schedule = replace(stage.schedule, samples=400, batch=8)
    before = sum(stage.loss(f"check {number}", 0.0)[0].item() for number in range(8))
    train(stage, Run(state=tmp_path, seed=1))
    assert sum(stage.loss(f"check {number}", 0.0)[0].item() for number in range(8)) < 0.95 * before


def test_tagging_is_learnt_from_sentences_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    schedule = replace(FLOW_TOY.text.schedule, samples=800, muon=0.02)
    preset = replace(FLOW_TOY, text=replace(FLOW_TOY.text, schedule=schedule))
    stage = TowersStage(preset, build_tokenizer(tmp_path / "tokenizer", TOLD))
    before = stage.loss("check", 0.0)[0].item()
    train(stage, Run(state=tmp_path, seed=1))
    assert stage.loss("check", 0.0)[0].item() < 0.7 * before


def test_every_caption_of_training_is_read_word_by_word(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(tmp_path, TOLD)
    rng = random.Random(0)
    for _ in range(200):
        caption = varied_caption(draw_room(rng), rng)
        assert len(tokenizer(caption.text).input_ids) == len(caption.words) + 2 <= 77
