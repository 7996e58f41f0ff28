import json
import random
from pathlib import Path

import pytest

from magedit.demo.captions import caption_scene
from magedit.demo.scene import sample_scene
from magedit.demo.vocabulary import GROUPS, UnknownWordError, check_prompt, words_of, write_vocabulary


def test_every_caption_is_in_the_vocabulary() -> None:
    rng = random.Random(0)
    for _ in range(300):
        check_prompt(caption_scene(sample_scene(rng), rng).text)


def test_unknown_words_are_named_and_known_ones_listed() -> None:
    with pytest.raises(UnknownWordError, match=r"'wooly', 'zebra'.*colours: red orange") as caught:
        check_prompt("A wooly red zebra, a Sofa and a zebra")
    assert "'sofa'" not in str(caught.value)


def test_words_are_split_as_the_tokenizer_does() -> None:
    assert words_of("A red sofa, no lamp.") == ["a", "red", "sofa", ",", "no", "lamp", "."]


def test_the_file_says_the_same(tmp_path: Path) -> None:
    write_vocabulary(tmp_path)
    stored = json.loads((tmp_path / "vocabulary.json").read_text())
    assert {group: tuple(words) for group, words in stored.items()} == GROUPS
