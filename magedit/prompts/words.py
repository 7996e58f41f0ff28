"""Splitting of prompts into whole words, and word comparison."""

from __future__ import annotations

import unicodedata
from typing import Final

import regex

_LETTER: Final = r"[\p{L}\p{M}\p{N}_]"
_EMOJI: Final = r"\p{RI}\p{RI}|\p{Extended_Pictographic}(?:\uFE0F|\p{EMod}|\u200D\p{Extended_Pictographic})*"
_WORD: Final = regex.compile(rf"{_LETTER}+(?:['’‘ʼ＇\-‐‑]{_LETTER}+)*|{_EMOJI}")
_SIGNS: Final = regex.compile(rf"{_WORD.pattern}|[^\s\p{{M}}]\p{{M}}*")
_SAME: Final = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "＇": "'", "‐": "-", "‑": "-", "\ufe0f": None})


def whole_words(prompt: str) -> list[tuple[int, int]]:
    """Character spans of the prompt's whole words, including inner hyphens and apostrophes; an emoji is a word."""
    return [match.span() for match in _WORD.finditer(prompt)]


def is_word(text: str) -> bool:
    """Whether the text contains a whole word."""
    return _WORD.search(text) is not None


def words_and_marks(prompt: str) -> list[tuple[int, int]]:
    """Character spans of the whole words and of all other characters except spaces."""
    return [match.span() for match in _SIGNS.finditer(prompt)]


def fold(text: str) -> str:
    """A word folded for comparison, ignoring case, accent composition, and typographic apostrophes and hyphens."""
    return unicodedata.normalize("NFC", text.translate(_SAME)).lower()


def folded_words(prompt: str) -> list[str]:
    """The whole words, folded."""
    return [fold(prompt[a:b]) for a, b in whole_words(prompt)]
