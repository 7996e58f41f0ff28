"""Noun phrases of prompts."""

from __future__ import annotations

import pytest

from magedit.prompts.phrases import parse


@pytest.mark.parametrize(
    ("prompt", "phrases"),
    [
        ("a cat's blue collar", ["a cat's blue collar"]),
        ("a big, red ball and a box", ["a big, red ball", "a box"]),
        ("masterpiece, red dress, 4k", ["masterpiece", "red dress", "4k"]),
        ("a black and white cat in front of a wall", ["a black and white cat", "a wall"]),
        ("the three little pigs eat apples", ["the three little pigs", "apples"]),
        ("a very old man with no hat", ["a very old man", "hat"]),
        ("a basket full of oranges", ["a basket", "oranges"]),
        ("a cat 🎩 on a mat", ["a cat", "🎩", "a mat"]),
        ("", []),
    ],
)
def test_a_prompt_is_cut_into_noun_phrases(prompt: str, phrases: list[str]) -> None:
    parsed = parse(prompt)
    assert [parsed.slice(unit.start, unit.end) for unit in parsed.units if unit.is_phrase] == phrases
    assert [word for unit in parsed.units for word in unit.words] == list(parsed.words)


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ("a red ball", "the red ball", True),
        ("a red ball", "a Red Ball", True),
        ("a red ball", "two red balls", False),
        ("a cat's ball", "a dog's ball", False),
        ("running", "running", True),
    ],
)
def test_articles_and_case_do_not_tell_phrases_apart(one: str, other: str, are_alike: bool) -> None:
    assert parse(one).units[0].like(parse(other).units[0]) is are_alike


def test_a_word_that_stands_twice_is_picked_by_its_number() -> None:
    prompt = parse("a red lamp, a red, old lamp")
    assert prompt.pick(1, 3) == "red lamp"
    assert prompt.pick(1, 2) == "red[1]"
    assert prompt.pick(5, 8) == "red, old"
    assert prompt.pick(8, 9) == "lamp[2]"
