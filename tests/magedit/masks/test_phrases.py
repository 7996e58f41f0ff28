"""Words that choose among several things."""

from __future__ import annotations

import pytest

from magedit.errors import SeveralFound
from magedit.masks.phrases import Phrase, bare

BOXES = [(40.0, 10.0, 20.0, 20.0), (0.0, 30.0, 10.0, 10.0), (80.0, 0.0, 15.0, 15.0)]
"""The middle and largest one, the left and lowest one, the right and highest one."""


@pytest.mark.parametrize(
    ("words", "thing", "chosen"),
    [
        ("left sofa", "sofa", [1]),
        ("the left red sofa", "red sofa", [1]),
        ("sofa on the right", "sofa", [2]),
        ("Rightmost Sofa", "sofa", [2]),
        ("second pillow", "pillow", [0]),
        ("the first pillow", "pillow", [1]),
        ("the last pillow", "pillow", [2]),
        ("largest picture", "picture", [0]),
        ("the smallest of the pictures", "pictures", [1]),
        ("upper clock", "clock", [2]),
        ("bottom clock", "clock", [1]),
        ("middle clock", "clock", [0]),
        ("all pillows", "pillows", [0, 1, 2]),
        ("both of the pillows", "pillows", [0, 1, 2]),
    ],
)
def test_words_choose(words: str, thing: str, chosen: list[int]) -> None:
    phrase = Phrase.read(words)
    assert phrase.thing == thing
    assert phrase.choose(BOXES) == chosen


def test_several_without_a_choice_are_listed() -> None:
    with pytest.raises(SeveralFound, match=r"3 things are 'sofa': \[40, 10, 20, 20\].*'left sofa'"):
        Phrase.read("a sofa").choose(BOXES)
    with pytest.raises(SeveralFound, match="there are 3 of 'sofa' only"):
        Phrase.read("fourth sofa").choose(BOXES)


def test_one_needs_no_choice() -> None:
    assert Phrase.read("sofa").choose(BOXES[:1]) == [0]
    assert Phrase.read("left sofa").choose(BOXES[:1]) == [0]
    assert Phrase.read("sofa").choose([]) == []


def test_words_of_choice_alone_are_the_thing() -> None:
    assert Phrase.read("the left").thing
    assert Phrase.read("right on the money").thing == "on the money"


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        ("a red carpet", "a carpet"),
        ("the left red sofa", "the left sofa"),
        ("a palm tree", "a palm tree"),
        ("the largest striped pillow", "the largest pillow"),
    ],
)
def test_attention_is_asked_for_the_bare_thing(thing: str, words: str) -> None:
    assert bare(thing) == words
