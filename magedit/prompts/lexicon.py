"""English lexicon with parts of speech, from WordNet 3.0 (built by `recipes.lexicon`).

Each line of the file is a word form and its classes: four digits for its frequency as a noun, verb, adjective and
adverb (0: never; 1: possible, but not in WordNet's tagged texts; one more for each doubling of the count), and letters
for its meaning: ``m`` a material, ``c`` a colour, ``i`` an irregular form, followed by its base, ``p`` an irregular
plural. The two words of a compound noun are joined by ``_``.
"""

from __future__ import annotations

import gzip
from bisect import bisect_left
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

FILE = "wordnet.txt.gz"


class Entry(NamedTuple):
    """A word form: frequency as noun, verb, adjective and adverb (0 to 9, logarithmic), meaning, base form."""

    noun: int = 0
    verb: int = 0
    adjective: int = 0
    adverb: int = 0
    names: str = ""
    base: str = ""


@cache
def _lines() -> list[str]:
    """The lines of the file in order; read once."""
    text = gzip.decompress((files(__package__) / FILE).read_bytes()).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


@lru_cache(maxsize=4096)
def entry(word: str) -> Entry | None:
    """The entry of this lower-case word form."""
    lines = _lines()
    at = bisect_left(lines, f"{word} ")
    if at == len(lines) or not lines[at].startswith(f"{word} "):
        return None
    _, counts, names, base, *_ = (*lines[at].split(" "), "", "")
    noun, verb, adjective, adverb = map(int, counts)
    return Entry(noun, verb, adjective, adverb, names, base)
