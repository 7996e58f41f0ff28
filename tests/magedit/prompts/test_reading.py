"""What is read from two prompts: the kind of edit, its phrases, and whether that is sure."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.prompts import read_pairs, shares
from magedit.demo import edit_set
from magedit.demo.named import DEMO_EDITS, demo_edit
from magedit.prompts.alignment import find_word
from magedit.prompts.reading import read_prompts


@pytest.mark.parametrize(("split", "least"), [("reported", 0.95), ("own", 0.95), ("held-out", 0.92)])
def test_prompts_as_people_write_them_are_read_right(split: str, least: float) -> None:
    assert shares(read_pairs([split]))["both"] >= least


@pytest.mark.parametrize(
    ("source", "target", "kind", "words"),
    [
        ("a cat lying on a windowsill", "a rabbit lying on a windowsill", "replacement", ("rabbit",)),
        ("a bus that is yellow", "a bus that is blue", "attribute", ("blue",)),
        ("a street with cars", "a street without cars", "removal", ()),
        ("a house without a chimney", "a house with a chimney", "addition", ("chimney",)),
        ("an apple on a table", "two apples on a table", "addition", ("two apples",)),
        ("masterpiece, red dress, 4k", "masterpiece, green dress, 4k", "attribute", ("green dress",)),
        ("an apple tree", "a palm tree", "replacement", ("palm tree",)),
        ("a stone wall", "a brick wall", "attribute", ("brick wall",)),
        ("🐶 on a sofa", "🐱 on a sofa", "replacement", ("🐱",)),
        ("a cafe\u0301", "a pink café", "attribute", ("pink café",)),
        ("a woman’s scarf", "a woman's red scarf", "attribute", ("red scarf",)),
        ("a man sitting on a bench", "a man jumping on a bench", "replacement", ("man jumping",)),
        ("a red sofa", "a sofa", "attribute", ("sofa",)),
        ("a red lamp and a lamp", "a red lamp and a red lamp", "attribute", ("red lamp[2]",)),
        ("a sofa", "the sofa", "attribute", ()),
        ("", "a cat", "addition", ("cat",)),
    ],
)
def test_a_construction_is_read_by_its_grammar(source: str, target: str, kind: str, words: tuple[str, ...]) -> None:
    reading = read_prompts(source, target)
    assert (reading.kind, reading.words, reading.unsure) == (kind, words, "")


def test_several_changes_have_a_phrase_each() -> None:
    reading = read_prompts("a red car next to a blue bus", "a green car next to a yellow boat and a tree")
    assert [(change.kind, change.before, change.words) for change in reading.changes] == [
        ("attribute", "a red car", "green car"),
        ("replacement", "a blue bus", "yellow boat"),
        ("addition", "", "tree"),
    ]
    assert reading.kind == "replacement"


def test_vanishing_phrases_and_their_filling() -> None:
    bare = "a mint room with a wooden floor, a ball"
    reading = read_prompts("a mint room with a wooden floor, a plant in a red pot and a ball", bare)
    assert reading.vanishing(100) == "a plant in a red pot"
    assert reading.vanishing(10) == ""
    assert reading.default_words == reading.filling == ("mint room", "wooden floor")
    assert read_prompts("a street with cars", "a street without cars").vanishing(100) == "cars"
    assert read_prompts("a room and a ball", "a room and a cat").default_words == ("cat",)


@pytest.mark.parametrize(
    ("source", "target", "words", "said"),
    [
        ("ein Sofa im Zimmer mit einem Hund", "ein Sofa im Zimmer mit einem Teppich", ("Teppich",), "English"),
        ("красный диван", "красный стул", ("стул",), "English"),
        ("a cat on a chair", "a cat under a chair", ("under",), "do not differ in any thing or quality"),
        ("a sofa and a lamp", "a lamp and a sofa", ("sofa",), "another order"),
        ("a cat, " * 200 + "a dog", "b c, " * 200 + "a fox", None, "too long"),
    ],
)
def test_an_unsure_reading_says_so_and_falls_back(
    source: str, target: str, words: tuple[str, ...] | None, said: str
) -> None:
    reading = read_prompts(source, target)
    assert said in reading.unsure
    (warning,) = reading.warnings
    assert (warning.code, warning.field) == ("reading_unsure", "words")
    assert all(repr(each) in warning.message for each in (reading.kind, *reading.words))
    assert reading.words
    assert words is None or reading.words == words


def test_the_demos_edits_are_read_right() -> None:
    named = {"colour": "attribute", "part": "attribute", "pattern": "attribute"}
    for edit in (*edit_set(8, seed=3), *map(demo_edit, DEMO_EDITS)):
        reading = read_prompts(edit.source_prompt, edit.target_prompt)
        assert reading.kind == named.get(edit.kind, edit.kind), edit
        assert not reading.unsure, edit
        # One phrase, which is the truth's or its end: "ball" of a "blue ball" that takes a blue sofa's place.
        said = [re.sub(r"\[\d+\]$", "", words) for words in reading.words]
        assert len(said) == len(edit.words)
        assert all(phrase.endswith(each) for phrase, each in zip(edit.words, said, strict=True)), edit


_PARTS = """
a an the two no red big cat cats dog's man runs sitting painted is that with without of in on and next to , . : ( -
sofa Hund 猫 🐶 ’s
"""
_PROMPTS = st.one_of(
    st.text(max_size=60), st.lists(st.sampled_from([*_PARTS.split(), "e\u0301"]), max_size=14).map(" ".join)
)


@given(_PROMPTS, _PROMPTS)
@example("\ufe0f", "\u0301")
@example("a '", "'s")
@example("", "°")
@example("", "´")
@example("a", "a & %")
@example("一 &", "一 + &")
def test_no_text_is_refused_and_every_phrase_stands_in_the_target(source: str, target: str) -> None:
    reading = read_prompts(source, target)
    for words in (*reading.words, *reading.filling):
        assert find_word(target, words)


@given(_PROMPTS)
def test_a_prompt_read_against_itself_changes_nothing(prompt: str) -> None:
    reading = read_prompts(prompt, prompt)
    assert (reading.kind, reading.changes, reading.unsure) == ("attribute", (), "")
