"""Inference of an edit from its two prompts: kind, phrases and certainty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from magedit.measures.report import EditWarning
from magedit.prompts.alignment import align
from magedit.prompts.changes import Change, EditKind, changes
from magedit.prompts.phrases import FILLING, Prompt, parse
from magedit.prompts.tagger import EMPTY
from magedit.prompts.words import is_word

BY_FREEDOM: Final[tuple[EditKind, ...]] = ("replacement", "addition", "removal", "attribute")
"""The kinds, the one that needs the most freedom first: it decides for an edit with several changes."""

MOST_UNKNOWN: Final = 0.4
"""Share of words outside the English lexicon above which prompts count as another language (from 3 words on)."""
MOST_CELLS: Final = 10_000
"""Phrases and joining words of the source times those of the target, at most; longer prompts are read by words."""


@dataclass(frozen=True)
class Reading:
    """The edit described by two prompts. ``unsure`` gives the reasons for doubt, empty if certain."""

    source: str
    target: str
    kind: EditKind
    changes: tuple[Change, ...]
    filling: tuple[str, ...] = ()
    """Phrases of the target prompt that can fill a removed object's place (`FILLING`)."""
    unsure: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The phrases guided by default: one of the target prompt per change, none for removals."""
        return tuple(dict.fromkeys(change.words for change in self.changes if change.words))

    @property
    def default_words(self) -> tuple[str, ...]:
        """Default words of a region: `words` or, if there are only removals, what fills the space."""
        vanishes = any(change.kind == "removal" for change in self.changes)
        return self.words or (self.filling if vanishes else ())

    def vanishing(self, longest: int) -> str:
        """Phrases that disappear from the target prompt, as many as fit into ``longest`` characters."""
        found = ""
        for change in self.changes:
            if change.kind in ("removal", "replacement") and change.before:
                longer = f"{found}, {change.before}" if found else change.before
                found = longer if len(longer) <= longest else found
        return found

    @property
    def warnings(self) -> tuple[EditWarning, ...]:
        """Warnings for callers who rely on the inferred kind or words."""
        if not self.unsure:
            return ()
        taken = f"an edit of kind {self.kind!r}" + (f" about {', '.join(map(repr, self.words))}" if self.words else "")
        return (
            EditWarning(
                code="reading_unsure",
                message=f"{self.unsure}; they are read as {taken}. If that is wrong, give `words` and `kind`",
                field="words",
            ),
        )


@lru_cache(maxsize=256)
def read_prompts(source: str, target: str) -> Reading:
    """Infer the edit from prompt ``source`` to ``target``, English sentences or lists of tags.

    Uncertain prompts are compared word by word through their alignment; no text is rejected.
    """
    old, new = parse(source), parse(target)
    found, unsure = _read(old, new)
    kinds = {change.kind for change in found}
    return Reading(
        source,
        target,
        kind=next((kind for kind in BY_FREEDOM if kind in kinds), "attribute"),
        changes=found,
        filling=tuple(dict.fromkeys(new.slice(unit.named, unit.end) for unit in new.units if unit.head in FILLING)),
        unsure=unsure,
    )


def _read(old: Prompt, new: Prompt) -> tuple[tuple[Change, ...], str]:
    """The changes, and the reasons for doubt."""
    if old.words == new.words:
        return (), ""
    if len(old.units) * len(new.units) > MOST_CELLS:
        return tuple(_by_words(old, new)), "the prompts are too long to be read by their grammar"
    unknown = dict.fromkeys((*old.unknown, *new.unknown))
    letters = {word for word in (*old.words, *new.words) if word[:1].isalpha()}
    if (len(unknown) > MOST_UNKNOWN * len(letters) and len(unknown) > 2) or any(map(_is_foreign, letters)):
        return tuple(_by_words(old, new)), "the prompts do not look like English"
    found = changes(old, new)
    if not found and any(word not in ("a", "an", "the", ",", ".", "and") for word in _differing(old, new)):
        by_words = tuple(_by_words(old, new))
        return by_words, "the prompts do not differ in any thing or quality"
    if sorted(old.words) == sorted(new.words):
        return found, "the prompts have the same words in another order"
    return found, ""


def _is_foreign(word: str) -> bool:
    """Whether a word has letters of a non-Latin script."""
    return any(sign.isalpha() and ord(sign) > 0x24F and not 0x1E00 <= ord(sign) <= 0x1EFF for sign in word)


def _differing(old: Prompt, new: Prompt) -> list[str]:
    left = list(old.words)
    found = []
    for word in new.words:
        if word in left:
            left.remove(word)
        else:
            found.append(word)
    return found + left


def _by_words(old: Prompt, new: Prompt) -> Iterator[Change]:
    """The changes according to word alignment only: each run of changed words is a phrase."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys((*old.words, *new.words)))}
    mapper = align([numbers[word] for word in old.words], [numbers[word] for word in new.words], len(new.words)).mapper
    kept = [(k, n) for n, k in enumerate(mapper) if k >= 0]
    at_old = at_new = 0
    for k, n in (*kept, (len(old.words), len(new.words))):
        start, end = _named(new, at_new, n)
        first, last = _named(old, at_old, k)
        if start < end:
            kind: EditKind = "replacement" if first < last else "addition"
            yield Change(kind, old.slice(first, last), new.slice(start, end), new.pick(start, end))
        elif first < last:
            yield Change("removal", old.slice(first, last), "", "")
        at_old, at_new = k + 1, n + 1


def _named(prompt: Prompt, start: int, end: int) -> tuple[int, int]:
    """The words [``start``, ``end``) without surrounding marks and English function words.

    If there are only function words, all of them."""
    first, last = start, end
    while first < last and prompt.classes[first] in EMPTY:
        first += 1
    while last > first and prompt.classes[last - 1] in EMPTY:
        last -= 1
    if first == last:
        first, last = start, end
        while first < last and not is_word(prompt.words[first]):
            first += 1
        while last > first and not is_word(prompt.words[last - 1]):
            last -= 1
    return first, last
