import random
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from magedit.demo.captions import caption_scene
from magedit.demo.scene import sample_scene
from magedit.demo.vocabulary import GROUPS
from recipes.stages.tokenizer import build_tokenizer, kept_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    build_tokenizer(folder)
    return CLIPTokenizer.from_pretrained(folder)


def test_each_word_is_one_token(tokenizer: CLIPTokenizer) -> None:
    for words in GROUPS.values():
        for word in words:
            assert len(tokenizer(word).input_ids) == 3, word


def test_captions_fit_and_words_are_tokens(tokenizer: CLIPTokenizer) -> None:
    assert tokenizer.model_max_length == 77
    rng = random.Random(0)
    for _ in range(200):
        caption = caption_scene(sample_scene(rng), rng)
        ids = tokenizer(caption.text).input_ids
        assert len(ids) == len(caption.words) + 2 <= 77
        assert ids[0] == tokenizer.bos_token_id
        assert ids[-1] == tokenizer.eos_token_id


def test_other_words_fall_apart_into_letters(tokenizer: CLIPTokenizer) -> None:
    assert len(tokenizer("zebra").input_ids) > 3


def test_an_existing_tokenizer_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    first = kept_tokenizer(folder).get_vocab()
    stored = (folder / "tokenizer.json").read_bytes()
    assert kept_tokenizer(folder).get_vocab() == first
    assert (folder / "tokenizer.json").read_bytes() == stored
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer"]
