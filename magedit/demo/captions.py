"""Captions of a room as people write them, with what each word means.

A caption is a list of words, each of which is one token of the demo's tokenizer, so word `i` is token `i + 1`
(token 0 is the start token) and a caption of `MAX_WORDS` words fills the text encoder's 77 positions.
"""

import random
from dataclasses import dataclass
from typing import Final

from magedit.demo.palette import KINDS, PATTERNED
from magedit.demo.scene import Scene, Thing

MAX_WORDS: Final = 75
SYNONYMS: Final = {"sofa": "couch", "carpet": "rug", "pillow": "cushion", "picture": "painting"}
PLURALS: Final = {"pillow": "pillows", "cushion": "cushions"}
OPENINGS: Final = (
    "a {wall} room with",
    "a {wall} living room with",
    "an image of a {wall} room with",
    "there is a {wall} room with",
    "",
)


@dataclass(frozen=True, kw_only=True)
class Mention:
    """What a stretch of a caption says of the room.

    `noun` is the index of the word that names the class, `end` of the stretch's last word. `colour`,
    `pattern` and `side` are None where the caption does not say them. `things` are the indices in
    `scene.things` it speaks of: none for a negated mention, two for a plural.
    """

    kind: str
    noun: int
    start: int
    end: int
    colour: str | None = None
    pattern: str | None = None
    side: str | None = None
    negated: bool = False
    things: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Caption:
    """Words, what they mention, and the room's wall and floor where they are said."""

    words: tuple[str, ...]
    mentions: tuple[Mention, ...]
    wall: str | None = None
    floor: str | None = None

    @property
    def text(self) -> str:
        """The caption as one string."""
        return " ".join(self.words).replace(" ,", ",")


@dataclass(frozen=True, kw_only=True)
class Style:
    """How talkative a caption is: each a probability in [0, 1]."""

    side: float = 0.7
    colour: float = 0.96
    pattern: float = 0.96
    plain: float = 0.08
    synonym: float = 0.12
    part: float = 0.2
    form: float = 0.3
    room: float = 0.25
    omission: float = 0.15
    negation: float = 0.15
    shuffle: float = 0.85
    article: float = 0.15
    """Share of "the" where "a" would do."""
    pair: float = 0.7
    """Share of two like pillows told as "two ... pillows"."""


TERSE: Final = Style(side=0.0)


@dataclass(frozen=True, kw_only=True)
class _Phrase:
    words: list[str]
    noun: int
    kind: str
    colour: str | None = None
    pattern: str | None = None
    side: str | None = None
    negated: bool = False
    things: tuple[int, ...] = ()


def article(word: str, definite: bool = False) -> str:
    """The article that goes before a word."""
    return "the" if definite else "an" if word[0] in "aeiou" else "a"


def _noun(kind: str, style: Style, rng: random.Random) -> str:
    said_otherwise = rng.random() < style.synonym
    return SYNONYMS.get(kind, kind) if said_otherwise else kind


def _adjectives(thing: Thing, style: Style, rng: random.Random) -> tuple[list[str], str | None, str | None]:
    """The words before the noun, and the colour and the pattern that they say."""
    words = []
    said = style.plain if thing.pattern == "plain" else style.pattern
    pattern = thing.pattern if thing.kind in PATTERNED and rng.random() < said else None
    if thing.form and rng.random() < style.form:
        words.append(thing.form)
    if pattern:
        words.append(pattern)
    colour = thing.colour if rng.random() < style.colour else None
    return words, colour, pattern


def _phrase(scene: Scene, index: int, style: Style, rng: random.Random) -> _Phrase:
    thing = scene.things[index]
    noun = _noun(thing.kind, style, rng)
    adjectives, colour, pattern = _adjectives(thing, style, rng)
    side = thing.side if rng.random() < style.side else None
    before = side is not None and side != "middle" and rng.random() < 0.6
    after_noun: list[str] = []
    if thing.kind == "plant" and colour:
        after_noun = ["in", article(colour), colour, "pot"]
    elif thing.kind == "lamp" and colour and rng.random() < style.part:
        after_noun = ["with", article(colour), colour, "shade"]
    elif colour:
        adjectives = [*adjectives, colour]
    head = [str(side)] * before + adjectives
    head = [article((*head, noun)[0], before or rng.random() < style.article), *head]
    tail = ["in" if side == "middle" else "on", "the", str(side)] if side and not before else []
    return _Phrase(
        words=[*head, noun, *after_noun, *tail],
        noun=len(head),
        kind=thing.kind,
        colour=colour,
        pattern=pattern,
        side=side,
        things=(index,),
    )


def _pair(scene: Scene, indices: tuple[int, ...], style: Style, rng: random.Random) -> _Phrase:
    thing = scene.things[indices[0]]
    noun = _noun(thing.kind, style, rng)
    adjectives, colour, pattern = _adjectives(thing, style, rng)
    head = ["two", *adjectives, *([colour] if colour else [])]
    return _Phrase(
        words=[*head, PLURALS[noun]],
        noun=len(head),
        kind=thing.kind,
        colour=colour,
        pattern=pattern,
        things=indices,
    )


def _phrases(scene: Scene, style: Style, rng: random.Random) -> list[_Phrase]:
    indices = list(range(len(scene.things)))
    if rng.random() < style.omission:
        for _ in range(rng.randint(1, 2)):
            if len(indices) > 2:
                indices.remove(rng.choice(indices))
    if rng.random() < style.shuffle:
        rng.shuffle(indices)
    pillows = tuple(index for index in indices if scene.things[index].kind == "pillow")
    alike = len({(scene.things[index].colour, scene.things[index].pattern) for index in pillows}) == 1
    paired = len(pillows) == 2 and alike and rng.random() < style.pair
    phrases = []
    for index in indices:
        if paired and index in pillows:
            if index == pillows[0]:
                phrases.append(_pair(scene, pillows, style, rng))
        else:
            phrases.append(_phrase(scene, index, style, rng))
    if rng.random() < style.negation:
        absent = [kind for kind in KINDS if all(thing.kind != kind for thing in scene.things)]
        for kind in rng.sample(absent, min(len(absent), rng.randint(1, 2))):
            noun = _noun(kind, style, rng)
            words = ["no", PLURALS.get(noun, noun)] if rng.random() < 0.7 else ["without", article(noun), noun]
            phrases.append(_Phrase(words=words, noun=len(words) - 1, kind=kind, negated=True))
    return phrases


def _opening(scene: Scene, style: Style, rng: random.Random) -> tuple[list[str], str | None, str | None]:
    wall = scene.wall if rng.random() < style.room else None
    floor = scene.floor if rng.random() < style.room else None
    opening = rng.choice(OPENINGS)
    wall = wall if opening else None
    words = opening.format(wall=wall or "").split()
    if floor:
        words += [article(floor), floor, "floor", ","]
    return words, wall, floor


def caption_scene(scene: Scene, rng: random.Random, style: Style = Style()) -> Caption:
    """A caption of a room in this style; sides are left out where they would not fit `MAX_WORDS`."""
    words, wall, floor = _opening(scene, style, rng)
    phrases = _phrases(scene, style, rng)
    mentions = []
    for number, phrase in enumerate(phrases):
        if number:
            last = number == len(phrases) - 1
            words += ["and"] if last else [","] if rng.random() < 0.93 else ["and"]
        start = len(words)
        words += phrase.words
        mentions.append(
            Mention(
                kind=phrase.kind,
                noun=start + phrase.noun,
                start=start,
                end=len(words) - 1,
                colour=phrase.colour,
                pattern=phrase.pattern,
                side=phrase.side,
                negated=phrase.negated,
                things=phrase.things,
            )
        )
    if len(words) > MAX_WORDS:
        return caption_scene(scene, rng, TERSE)
    return Caption(words=tuple(words), mentions=tuple(mentions), wall=wall, floor=floor)
