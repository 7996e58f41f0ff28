"""The demo's vocabulary and validation of prompts against it; free of torch."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from magedit.demo.captions import PLURALS, SYNONYMS
from magedit.demo.palette import COLOURS, FLOORS, KINDS, MORE_PATTERNS, PATTERNS, SIDES, WALLS

FILE: Final = "vocabulary.json"
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "things": (*KINDS, *SYNONYMS.values(), *PLURALS.values()),
    "colours": tuple(COLOURS),
    "patterns": PATTERNS,
    "sides": SIDES,
    "parts": ("pot", "shade"),
    "shapes": ("round", "square"),
    "rooms": ("room", "living", "floor", *WALLS, *FLOORS),
    "small words": (
        "a",
        "an",
        "the",
        "and",
        "with",
        "without",
        "no",
        "of",
        "on",
        "in",
        "two",
        "there",
        "is",
        "image",
        ",",
    ),
}
"""The vocabulary by meaning; what ships in `vocabulary.json`."""


INSTRUCTIONS: Final[dict[str, tuple[str, ...]]] = GROUPS | {
    "instructions": ("make", "turn", "into", "replace", "add", "remove")
}
"""The vocabulary of a checkpoint that edits by instruction."""
TOLD: Final[dict[str, tuple[str, ...]]] = GROUPS | {
    "patterns": PATTERNS + MORE_PATTERNS,
    "verbs": ("is", "are", "stands", "hangs", "hang", "lies", "lie", "rests", "rest", "grows", "opens"),
    "places": ("above", "beside", "next", "to", "at", "front", "corner", "wall"),
    "stops": (".",),
}
"""The vocabulary of a checkpoint that also reads sentences (`captions.tell_scene`)."""


class UnknownWordError(ValueError):
    """A prompt contains words outside the checkpoint's vocabulary."""


def words_of(prompt: str) -> list[str]:
    """The words of a prompt as the tokenizer splits them: lower case, punctuation apart."""
    return re.findall(r"[a-z]+|[^\sa-z]", prompt.lower())


def write_vocabulary(folder: Path, groups: Mapping[str, tuple[str, ...]] = GROUPS) -> None:
    """Write `vocabulary.json` into a checkpoint's folder."""
    (folder / FILE).write_text(json.dumps(groups, indent=2) + "\n")


def check_prompt(prompt: str, vocabulary: dict[str, tuple[str, ...]] = GROUPS) -> None:
    """Check a prompt against the vocabulary.

    Raises:
        UnknownWordError: names the unknown words and lists the known ones.
    """
    known = {word for words in vocabulary.values() for word in words}
    unknown = list(dict.fromkeys(word for word in words_of(prompt) if word not in known))
    if unknown:
        listing = "; ".join(f"{group}: {' '.join(words)}" for group, words in vocabulary.items())
        raise UnknownWordError(f"the demo checkpoint does not know {_quoted(unknown)}. It knows {listing}")


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(repr(word) for word in words)
