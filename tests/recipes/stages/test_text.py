import random
from dataclasses import replace
from pathlib import Path

import torch

from magedit.demo.captions import Caption, Mention
from magedit.demo.model import tokenize
from recipes.presets.stable_diffusion import TOY
from recipes.stages.text import TAGS, TextStage, build_text_encoder, tags_at
from recipes.stages.tokenizer import build_tokenizer
from recipes.training.loop import Run, train


def test_a_word_is_tagged_with_the_attributes_stated_so_far() -> None:
    words = ("a", "plant", "in", "a", "red", "pot", "on", "the", "left")
    mention = Mention(kind="plant", noun=1, start=0, end=8, colour="red", side="left", things=(0,))
    caption = Caption(words=words, mentions=(mention,))

    def tags(word: int) -> dict[str, str | None]:
        return {name: TAGS[name][tag] for name, tag in zip(TAGS, tags_at(caption, mention, word), strict=True)}

    assert tags(1) == {"kind": "plant", "colour": None, "pattern": None, "side": None, "number": "1"}
    assert tags(8) == {"kind": "plant", "colour": "red", "pattern": None, "side": "left", "number": "1"}


def test_the_encoder_has_clips_positions(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(tmp_path)
    ids = tokenize(tokenizer, ["a red sofa", ""])
    assert ids.shape == (2, 77)
    encoder = build_text_encoder(TOY.text, tokenizer)
    assert encoder(ids).last_hidden_state.shape == (2, 77, TOY.text.width)


def test_tagging_is_learnt(tmp_path: Path) -> None:
    torch.manual_seed(random.Random(0).getrandbits(30))
    preset = replace(TOY, text=replace(TOY.text, schedule=replace(TOY.text.schedule, samples=800, muon=0.02)))
    stage = TextStage(preset, build_tokenizer(tmp_path / "tokenizer"))
    before = stage.loss("check", 0.0)[0].item()
    train(stage, Run(state=tmp_path, seed=1))
    assert stage.loss("check", 0.0)[0].item() < 0.6 * before
