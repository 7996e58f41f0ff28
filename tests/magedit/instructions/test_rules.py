"""Parsing of English instructions, and errors for those not understood."""

from __future__ import annotations

import pytest

from magedit.errors import InstructionNotUnderstood
from magedit.instructions.rules import Change, article, read, with_article


@pytest.mark.parametrize(
    ("instruction", "phrase", "thing", "quality"),
    [
        ("make the left sofa blue", "left sofa", "sofa", "blue"),
        ("Please make the sofa dark blue.", "sofa", "sofa", "dark blue"),
        ("make the sofa blue and white", "sofa", "sofa", "blue and white"),
        ("could you make the chair look old?", "chair", "chair", "old"),
        ("make the sofa out of wood", "sofa", "sofa", "made of wood"),
        ("make the picture on the left red", "picture on the left", "picture", "red"),
        ("make all pillows striped", "all pillows", "pillows", "striped"),
        ("make the sofa more colourful", "sofa", "sofa", "more colourful"),
        ("change the color of the second pillow to green", "second pillow", "pillow", "green"),
        ("change the sofa's colour to blue", "sofa", "sofa", "blue"),
        ("paint the orange cat blue", "orange cat", "orange cat", "blue"),
        ("paint the wall in light green", "wall", "wall", "light green"),
        ("make the orange blue", "orange", "orange", "blue"),
        ("make the white marble black", "white marble", "white marble", "black"),
        ("turn the blue sofa into a red one", "blue sofa", "blue sofa", "red"),
        ("turn the largest sofa into leather", "largest sofa", "sofa", "leather"),
        ("the sofa should be blue", "sofa", "sofa", "blue"),
        ("I want the sofa to be striped", "sofa", "sofa", "striped"),
        ("MAKE THE WOMAN’S DRESS RED!", "woman's dress", "woman's dress", "red"),
    ],
)
def test_quality_changes(instruction: str, phrase: str, thing: str, quality: str) -> None:
    assert read(instruction) == Change(action="change", phrase=phrase, thing=thing, quality=quality)


@pytest.mark.parametrize(
    ("instruction", "phrase", "new"),
    [
        ("replace the largest picture by clock", "largest picture", "a clock"),
        ("turn the red sofa into a bench", "red sofa", "a bench"),
        ("make the cat a dog", "cat", "a dog"),
        ("make the car look like a truck", "car", "a truck"),
        ("swap the lamp for an old clock", "lamp", "an old clock"),
        ("substitute a bench for the old sofa", "old sofa", "a bench"),
        ("transform the apple to an orange", "apple", "an orange"),
        ("put flowers in place of the books", "books", "flowers"),
    ],
)
def test_replacements(instruction: str, phrase: str, new: str) -> None:
    found = read(instruction)
    assert (found.action, found.phrase, found.new) == ("replace", phrase, new)


@pytest.mark.parametrize(
    ("instruction", "phrase", "new", "place"),
    [
        ("add a hat to the dog", "dog", "a hat", "with"),
        ("give the dog a red hat", "dog", "a red hat", "with"),
        ("give the man sunglasses", "man", "sunglasses", "with"),
        ("put a cat on the sofa", "sofa", "a cat", "on"),
        ("put flowers in the vase", "vase", "flowers", "in"),
        ("paint a moustache on the man", "man", "a moustache", "on"),
        ("add a plant next to the sofa", None, "a plant", "next to"),
        ("add a lamp on the left", None, "a lamp", ""),
        ("add clock", None, "a clock", ""),
    ],
)
def test_additions(instruction: str, phrase: str | None, new: str, place: str) -> None:
    found = read(instruction)
    assert (found.action, found.phrase, found.new, found.place) == ("add", phrase, new, place)


@pytest.mark.parametrize(
    ("instruction", "phrase"),
    [
        ("remove the cup", "cup"),
        ("Take the lamp away, please", "lamp"),
        ("get rid of all pillows", "all pillows"),
        ("remove the cup on the left from the table", "cup on the left"),
        ("erase the man in the red shirt", "man in the red shirt"),
    ],
)
def test_removals(instruction: str, phrase: str) -> None:
    found = read(instruction)
    assert (found.action, found.phrase) == ("remove", phrase)


@pytest.mark.parametrize(
    ("instruction", "told"),
    [
        ("make it blue", "names no thing, only 'it'"),
        ("make the picture blue", "say which one, such as 'the left picture'"),
        ("blue sofa", "only 'blue sofa' is understood, not what should change about it"),
        ("make the sofa", "only the verb 'make' and 'the sofa' are understood, not what should change about it"),
        ("mach das Sofa blau", "no part of it is understood"),
        ("make the sofa blue and remove the lamp", "several changes: 'make the sofa blue' is the first"),
        ("make the sofa blue; make the lamp red", "several changes"),
        ("replace the cat and the dog with a horse", "is about several things, 'the cat and the dog'"),
        ("remove ,", "names no thing, only ','"),
        (f"make the {'very ' * 45}old sofa blue", "have 233 characters; use at most 200"),
        (" . ", "it is empty"),
    ],
)
def test_errors_say_what_was_understood_and_how_to_rephrase(instruction: str, told: str) -> None:
    with pytest.raises(InstructionNotUnderstood) as caught:
        read(instruction)
    assert told in caught.value.message
    assert caught.value.field == "instruction"
    assert "make the left sofa blue" in caught.value.message or "one edit per" in caught.value.message


def test_articles_follow_pronunciation() -> None:
    words = ("orange", "hour", "unicorn", "university", "umbrella", "one", "european", "apple", "blue", "ugly")
    assert [article(word) for word in words] == ["an", "an", "a", "a", "an", "a", "a", "an", "a", "an"]
    assert [with_article(words) for words in ("old clock", "two cats", "pillows", "my cat", "cup of tea")] == [
        "an old clock",
        "two cats",
        "pillows",
        "my cat",
        "a cup of tea",
    ]
