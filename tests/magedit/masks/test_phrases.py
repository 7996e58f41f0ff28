"""Words that select among several things."""

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
def test_words_select_among_several(words: str, thing: str, chosen: list[int]) -> None:
    phrase = Phrase.read(words)
    assert phrase.thing == thing
    assert phrase.choose(BOXES) == chosen


def test_an_ambiguous_phrase_lists_the_boxes() -> None:
    with pytest.raises(SeveralFound, match=r"3 things match 'sofa': \[40, 10, 20, 20\].*'left sofa'"):
        Phrase.read("a sofa").choose(BOXES)
    with pytest.raises(SeveralFound, match="there are only 3 of 'sofa'"):
        Phrase.read("fourth sofa").choose(BOXES)


def test_a_single_thing_needs_no_selecting_word() -> None:
    assert Phrase.read("sofa").choose(BOXES[:1]) == [0]
    assert Phrase.read("left sofa").choose(BOXES[:1]) == [0]
    assert Phrase.read("sofa").choose([]) == []


def test_selecting_words_alone_name_the_thing() -> None:
    assert Phrase.read("the left").thing
    assert Phrase.read("right on the money").thing == "on the money"


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        ("a red carpet", "carpet"),
        ("plaid red sofa", "sofa"),
        ("striped velvet pillow on the sofa", "pillow"),
        ("plant in a red pot", "plant"),
        ("a green palm tree", "palm tree"),
        ("red", "red"),
    ],
)
def test_bare_drops_qualities(thing: str, words: str) -> None:
    assert bare(thing) == words


@pytest.mark.parametrize("words", ["pillows", "the striped pillows", "both pillow", "all palm trees", "every sofa"])
def test_a_plural_means_all_of_them(words: str) -> None:
    assert Phrase.read(words).choose(BOXES) == list(range(len(BOXES)))
