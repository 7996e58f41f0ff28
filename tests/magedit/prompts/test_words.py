"""Whole words of prompts, and spellings of the same word."""

from __future__ import annotations

import pytest

from magedit.prompts.words import fold, folded_words, words_and_marks


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("A cat's well-lit bed.", ["a", "cat's", "well-lit", "bed"]),
        ("a woman’s T‑shirt", ["a", "woman's", "t-shirt"]),
        ("cafe\u0301 in CAFÉ", ["café", "in", "café"]),
        ("🐶 on a sofa 👨‍👩‍👧", ["🐶", "on", "a", "sofa", "👨‍👩‍👧"]),
        ("a red heart ❤️ and ❤", ["a", "red", "heart", "❤", "and", "❤"]),
        ("👍🏽🇫🇷🇩🇪", ["👍🏽", "🇫🇷", "🇩🇪"]),
        ("हिन्दी शब्द", ["हिन्दी", "शब्द"]),
        ("... , !", []),
        ("", []),
    ],
)
def test_words_are_whole_whatever_their_script(prompt: str, words: list[str]) -> None:
    assert folded_words(prompt) == words


def test_marks_stand_between_words() -> None:
    prompt = "a cat, (a dog)"
    assert [prompt[a:b] for a, b in words_and_marks(prompt)] == ["a", "cat", ",", "(", "a", "dog", ")"]


def test_case_accents_and_typography_do_not_tell_words_apart() -> None:
    assert fold("CAFE\u0301’S") == fold("Café's")
    assert fold("cat") != fold("cats")
