"""Words that name a thing and choose among several: `left sofa`, `the second pillow`. Free of torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from magedit.errors import SeveralFound
from magedit.prompts.phrases import parse
from magedit.prompts.tagger import NOUN, PLURAL, candidates

Box = tuple[float, float, float, float]
"""x, y, width and height in pixels."""

_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth", "sixth")
_ARTICLES: Final = frozenset({"the", "a", "an", "my", "this", "that", "one", "of"})
_EVERY: Final = frozenset({"all", "every", "each", "both"})


def _x(box: Box) -> float:
    return box[0] + box[2] / 2


def _y(box: Box) -> float:
    return box[1] + box[3] / 2


def _area(box: Box) -> float:
    return box[2] * box[3]


_EXTREMES: Final[Mapping[str, Callable[[Box], float]]] = {
    "left": lambda box: -_x(box),
    "leftmost": lambda box: -_x(box),
    "right": _x,
    "rightmost": _x,
    "upper": lambda box: -_y(box),
    "top": lambda box: -_y(box),
    "uppermost": lambda box: -_y(box),
    "lower": _y,
    "bottom": _y,
    "largest": _area,
    "biggest": _area,
    "smallest": lambda box: -_area(box),
}
_MIDDLE: Final = frozenset({"middle", "central", "centre", "center"})


@dataclass(frozen=True)
class Phrase:
    """A thing, and which of several such things is meant."""

    thing: str
    """The words without those that choose, in lower case: `red sofa`."""
    extreme: str | None = None
    """A word of place or size: `left`, `largest`, `middle`."""
    number: int | None = None
    """Index from the left, from 0; -1: the last."""
    every: bool = False
    """Whether all of them are selected."""

    @classmethod
    def read(cls, words: str) -> Phrase:
        """Parse ``words``; words of choice come before the thing, `on the left` after it."""
        text = " ".join(words.lower().replace(",", " ").split())
        after = re.search(r"\b(?:on|at|in|to) the (left|right|top|bottom|middle|centre|center)\b.*$", text)
        extreme = after[1] if after else None
        if after:
            text = text[: after.start()].strip() or text
        number: int | None = None
        every, rest = False, list[str]()
        for word in text.split():
            if word in _EVERY:
                every = True
            elif word in _ORDINALS and not rest:
                number = _ORDINALS.index(word)
            elif word == "last" and not rest:
                number = -1
            elif (word in _EXTREMES or word in _MIDDLE) and not rest:
                extreme = word
            elif word not in _ARTICLES or rest:
                rest.append(word)
        thing = " ".join(rest) or text
        return cls(thing, extreme, number, every or PLURAL in candidates(bare(thing).split()[-1]))

    @property
    def chooses(self) -> bool:
        """Whether a word selects one of several things."""
        return self.extreme is not None or self.number is not None

    def choose(self, boxes: Sequence[Box]) -> list[int]:
        """Indices of the things in ``boxes`` that the phrase selects.

        Raises:
            SeveralFound: there are several and no word selects one, or there are fewer than the ordinal requires. Lists
                them.
        """
        if len(boxes) <= 1 and self.number in (None, 0, -1):
            return list(range(len(boxes)))
        if self.number is not None:
            order = sorted(range(len(boxes)), key=lambda at: _x(boxes[at]))
            if self.number >= len(order):
                raise SeveralFound(f"there are only {len(order)} of {self.thing!r}: {told(boxes)}")
            return [order[self.number]]
        if self.extreme is None:
            if self.every:
                return list(range(len(boxes)))
            raise SeveralFound(
                f"{len(boxes)} things match {self.thing!r}: {told(boxes)}. Say which ('left {self.thing}', 'second "
                f"{self.thing}', 'largest {self.thing}'), or 'all {self.thing}'"
            )
        if self.extreme in _MIDDLE:
            order = sorted(range(len(boxes)), key=lambda at: _x(boxes[at]))
            return [order[len(order) // 2]]
        measure = _EXTREMES[self.extreme]
        return [max(range(len(boxes)), key=lambda at: measure(boxes[at]))]


def told(boxes: Sequence[Box]) -> str:
    """The boxes as text: x, y, width, height."""
    return ", ".join(f"[{', '.join(f'{value:.0f}' for value in box)}]" for box in boxes)


def bare(thing: str) -> str:
    """The noun of a thing, without qualities and what follows: `sofa` of `plaid red sofa on the carpet`."""
    read = parse(thing)
    unit = next((unit for unit in read.units if unit.is_phrase), None)
    if unit is None:
        return thing
    is_compound = unit.compound and read.classes[unit.end - 2] == NOUN  # a red carpet is a carpet
    return " ".join(unit.words[-2 if is_compound else -1 :])
