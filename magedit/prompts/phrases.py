"""Parser of a prompt into noun phrases and connectives."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

from magedit.prompts import tagger
from magedit.prompts.lexicon import entry
from magedit.prompts.words import fold, is_word, words_and_marks

PHRASE: Final = "NP"
JOINING: Final = frozenset((tagger.CONJUNCTION, tagger.MARK))
VERBS: Final = frozenset((tagger.VERB, tagger.THIRD, tagger.ACTIVE, tagger.PASSIVE, tagger.COPULA))

_FILLING = """
wall floor ceiling ground grass lawn field sky sea water river lake sand beach snow road street pavement room background
"""
FILLING: Final = frozenset(_FILLING.split())
"""Words for backgrounds ("stuff" of COCO-Stuff, arXiv 1612.03716, its outdoor and indoor classes
that surround things)."""

_NUMBERS: Final = """
1 a an one another single lone solitary
2 two both couple pair
3 three
4 four
5 five several few
6 six
7 seven
8 eight
9 nine
10 ten many multiple various numerous
11 eleven
12 twelve dozen
20 twenty
30 thirty
100 hundred
"""
_NUMBER: Final = {
    word: float(value) for value, *words in (line.split() for line in _NUMBERS.split("\n") if line) for word in words
}
_PLURAL: Final = 2.5  # "dogs": more than one; of how many it says nothing
_FRONTS: Final = frozenset(("front", "top", "back", "spite", "lieu", "place"))
_OWNER_AND_NUMBER: Final = r"(?P<owner>(?:[DQ]*(?:M*A)*N*S)*)(?P<number>[DQ]*)"
_COUNTED: Final = re.compile(
    rf"{_OWNER_AND_NUMBER}(?<=[DQS])(?P<qualities>(?:M*A(?:[CU](?=M*A))?|N(?=AN))*)(?P<nouns>N+)"
)
"""A noun phrase as word classes; with a determiner it may list qualities ("a big, red ball")."""
_BARE: Final = re.compile(r"(?P<owner>)(?P<number>)(?P<qualities>(?:M*A(?:C(?=M*A))?|N(?=AN))*)(?P<nouns>N+)")
"""A noun phrase without a determiner, in which a comma separates tags ("masterpiece, red dress")."""
_DESCRIBING: Final = frozenset((("of",), ("with",), ("wearing",)))
_QUALITY: Final = re.compile(r"M+A*|A+")


@dataclass(frozen=True, eq=False)
class Unit:
    """Words [start, end) of a prompt: a noun phrase or a single other word, with its part of speech.

    Equality is identity; `like` compares by meaning."""

    kind: str
    start: int
    end: int
    words: tuple[str, ...]
    """The folded words."""
    named: int
    """Index of its first word after owner, determiners and numbers."""
    owner: tuple[str, ...] = ()
    number: float = 0.0
    head: str = ""
    """The singular of a noun phrase's last noun."""

    @property
    def is_phrase(self) -> bool:
        """Whether the unit is a noun phrase."""
        return self.kind == PHRASE

    @property
    def compound(self) -> str:
        """The two-word compound noun at the end of the phrase, if it is in the lexicon: "palm_tree"."""
        name = f"{self.core[-2]}_{self.head}" if len(self.core) > 1 else ""
        return name if name and entry(name) else ""

    @property
    def core(self) -> tuple[str, ...]:
        """A noun phrase's attributes and nouns."""
        return self.words[self.named - self.start :]

    @property
    def is_descriptive(self) -> bool:
        """Whether "in" before the noun phrase describes a thing, as "in a red coat" does, and does not give its place.

        It has a colour or a material, no "the", and names no background.
        """
        if self.head in FILLING or "the" in self.words:
            return False
        found = [entry(word) for word in self.core[:-1]]
        return any(each is not None and not set("mc").isdisjoint(each.names) for each in found)

    def names(self, letter: str) -> bool:
        """Whether the noun phrase is a bare word for a material (``m``) or a colour (``c``)."""
        found = entry(self.head) if len(self.core) == 1 else None
        return found is not None and letter in found.names

    def like(self, other: Unit) -> bool:
        """Whether both mean the same, ignoring articles."""
        if self.is_phrase and other.is_phrase:
            return (self.core, self.owner, self.number) == (other.core, other.owner, other.number)
        return self.kind == other.kind and self.words == other.words


@dataclass(frozen=True)
class Prompt:
    """A prompt split into words and units; ``words`` are folded, ``classes`` has one letter per word."""

    text: str
    spans: tuple[tuple[int, int], ...]
    words: tuple[str, ...]
    classes: str
    units: tuple[Unit, ...]

    @property
    def unknown(self) -> list[str]:
        """The words that are not in the lexicon."""
        return [
            word
            for word in self.words
            if word[:1].isalpha() and len(word) > 1 and not tagger.is_known(word.removesuffix("'s"))
        ]

    def slice(self, start: int, end: int) -> str:
        """The text of words [``start``, ``end``)."""
        return self.text[self.spans[start][0] : self.spans[end - 1][1]] if start < end else ""

    def pick(self, start: int, end: int) -> str:
        """The specification that selects exactly these words, with ``[n]`` if they occur several times."""
        wanted = [word for word in self.words[start:end] if is_word(word)]
        whole = [place for place, word in enumerate(self.words) if is_word(word)]
        names = [self.words[place] for place in whole]
        found = [k for k in range(len(names) - len(wanted) + 1) if names[k : k + len(wanted)] == wanted]
        text = self.slice(start, end)
        if len(found) < 2:
            return text
        nth = sum(whole[k] <= start for k in found)
        return f"{text}[{max(1, nth)}]"

    def extent(self, unit: Unit, among: Container[Unit] | None = None) -> tuple[int, int]:
        """A noun phrase's words with its description: "a basket of eggs", "a man with a beard", "a plant in a red pot".

        ``among``: the units that may describe it; None: all.
        """
        last = unit
        while following := self._description(last):
            if among is not None and not all(each in among for each in following):
                break
            last = following[1]
        return unit.start, last.end

    def _description(self, unit: Unit) -> tuple[Unit, Unit] | None:
        """The word after a noun phrase and the noun phrase that together describe it; None without a description."""
        following = self.units[self.units.index(unit) + 1 :][:2]
        if len(following) < 2 or not following[1].is_phrase:
            return None
        link, what = following
        return (link, what) if link.words in _DESCRIBING or (link.words == ("in",) and what.is_descriptive) else None


def parse(text: str) -> Prompt:
    """Split a prompt into noun phrases and connectives."""
    spans = words_and_marks(text)
    words = tuple(fold(text[a:b]) for a, b in spans)
    letters = _classes(words)
    return Prompt(text, tuple(spans), words, letters, tuple(_units(words, letters)))


def _classes(words: Sequence[str]) -> str:
    """One letter per word for its part of speech; singular and plural nouns share one."""
    found = tagger.classes(words)
    for n, letter in enumerate(found):
        before = found[n - 1] if n else tagger.START
        after = found[n + 1] if n + 1 < len(found) else tagger.END
        is_last = after not in "AMNKSCI" and before in "DIQSAGZ"
        if letter == tagger.ADJECTIVE and is_last and not {"N", "K"}.isdisjoint(tagger.candidates(words[n])):
            found[n] = tagger.NOUN  # "fields of lavender"
        elif letter == tagger.NUMBER and words[n] in ("one", "ones") and before == tagger.ADJECTIVE:
            found[n] = tagger.NOUN  # "the red one"
        elif n and words[n] == "of" and words[n - 1] in _FRONTS and found[n - 2 : n - 1] == [tagger.PREPOSITION]:
            found[n - 1] = tagger.PREPOSITION
    return "".join(tagger.NOUN if letter == tagger.PLURAL else letter for letter in found)


def _units(words: tuple[str, ...], letters: str) -> list[Unit]:
    found = []
    at = 0
    while at < len(words):
        if letters[at] == tagger.PICTURE:
            found.append(Unit(PHRASE, at, at + 1, words[at : at + 1], named=at, number=1.0, head=words[at]))
            at += 1
            continue
        if match := _COUNTED.match(letters, at) or _BARE.match(letters, at):
            found.append(_phrase(words, match))
            at = match.end()
            continue
        quality = _QUALITY.match(letters, at)
        end = quality.end() if quality else at + 1
        kind = tagger.ADJECTIVE if "A" in letters[at:end] else letters[at]
        found.append(Unit(kind, at, end, words[at:end], named=at))
        at = end
    return found


def _phrase(words: tuple[str, ...], match: re.Match[str]) -> Unit:
    head = words[match.end() - 1]
    base = tagger.base_noun(head)
    said = words[match.start("number") : match.end("nouns")]
    number = next((_number(word) for word in reversed(said) if _number(word)), _PLURAL if base != head else 1.0)
    return Unit(
        PHRASE,
        match.start(),
        match.end(),
        words[match.start() : match.end()],
        named=match.start("qualities"),
        owner=words[match.start("owner") : match.end("owner")],
        number=number,
        head=base,
    )


def _number(word: str) -> float:
    return float(word[:6]) if word.isascii() and word.isdigit() else _NUMBER.get(word, 0.0)
