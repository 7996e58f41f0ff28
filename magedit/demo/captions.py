"""Room captions, with the object, colour, pattern and side that each word refers to.

A caption is a list of words, each of which is one token of the demo's tokenizer, so word `i` is token `i + 1`
(token 0 is the start token) and a caption of `MAX_WORDS` words fills the text encoder's 77 positions.
"""

import random
from dataclasses import dataclass, replace
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
    """A span of a caption that refers to objects of the room.

    `noun` is the index of the word that names the class, `end` that of the span's last word. `colour`, `pattern` and
    `side` are None if the caption does not state them. `things` are indices into `scene.things`: empty for a negated
    mention, two for a plural.
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
    """Words of a caption, its mentions, and the room's wall and floor if stated."""

    words: tuple[str, ...]
    mentions: tuple[Mention, ...]
    wall: str | None = None
    floor: str | None = None

    @property
    def text(self) -> str:
        """The caption as one string."""
        return " ".join(self.words).replace(" ,", ",").replace(" .", ".")


@dataclass(frozen=True, kw_only=True)
class Style:
    """Verbosity of a caption; each field is a probability in [0, 1]."""

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
    """Share of "the" in place of "a"."""
    pair: float = 0.7
    """Share of equal pillows that are named together, "two ... pillows"."""
    told: int | None = None
    """Most objects that are named; None: no limit."""


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
    """The indefinite article for a word."""
    return "the" if definite else "an" if word[0] in "aeiou" else "a"


def _noun(kind: str, style: Style, rng: random.Random) -> str:
    said_otherwise = rng.random() < style.synonym
    return SYNONYMS.get(kind, kind) if said_otherwise else kind


def _adjectives(thing: Thing, style: Style, rng: random.Random) -> tuple[list[str], str | None, str | None]:
    """The words before the noun, and the colour and pattern that they state."""
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
    if style.told is not None:
        indices = sorted(rng.sample(indices, min(style.told, len(indices))))
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
    """A caption of a room in this style, without sides if it would exceed `MAX_WORDS`."""
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


VERBS: Final[dict[str, tuple[str, ...]]] = {
    "window": ("is", "opens"),
    "curtain": ("hangs",),
    "picture": ("hangs",),
    "clock": ("hangs",),
    "lamp": ("stands",),
    "plant": ("stands", "grows"),
    "sofa": ("stands",),
    "pillow": ("lies", "rests"),
    "carpet": ("lies",),
    "table": ("stands",),
    "ball": ("lies", "rests"),
}
"""The verb of each class in a sentence; for two objects it loses its "s"."""
NEAR_BY: Final = 28
"""Largest offset, in drawing units, of the centres of two objects that count as one above the other."""


def _plural(verb: str) -> str:
    return "are" if verb == "is" else verb.removesuffix("s")


def _relations(scene: Scene, thing: Thing) -> list[str]:
    """True phrases for an object's position relative to others."""
    sofa = next((other for other in scene.things if other.kind == "sofa"), None)
    carpet = next((other for other in scene.things if other.kind == "carpet"), None)
    if thing.kind in ("window", "picture", "clock"):
        over = sofa is not None and abs(sofa.x - thing.x) <= NEAR_BY
        return ["on the wall", *(["above the sofa"] if over else [])]
    if thing.kind == "curtain":
        return ["at the window"]
    if thing.kind == "pillow":
        return ["on the sofa"]
    if thing.kind in ("lamp", "plant"):
        return ["beside the sofa", "next to the sofa"] if sofa is not None else ["in the corner"]
    if thing.kind == "carpet":
        return ["on the floor", *(["in front of the sofa"] if sofa is not None else [])]
    if thing.kind in ("table", "ball"):
        on = carpet is not None and abs(carpet.x - thing.x) <= NEAR_BY
        front = sofa is not None and abs(sofa.x - thing.x) <= NEAR_BY
        return [*(["on the carpet"] if on else ["on the floor"]), *(["in front of the sofa"] if front else [])]
    return ["in the room"]


def _clause(scene: Scene, phrase: _Phrase, style: Style, rng: random.Random) -> _Phrase:
    """A sentence made from a phrase without a position, with or without one added."""
    if phrase.negated:
        return replace(phrase, words=["there", "is", *phrase.words], noun=phrase.noun + 2)
    thing = scene.things[phrase.things[0]]
    several = len(phrase.things) > 1
    verb = rng.choice(VERBS[thing.kind])
    verb = _plural(verb) if several else verb
    place, side = "", None
    drawn = rng.random()
    if drawn < style.side and not several:
        side = thing.side
        place = f"in the {side}" if side == "middle" else f"on the {side}"
        place += " of the sofa" if thing.kind == "pillow" else rng.choice(("", "", " of the room"))
    elif drawn < 0.5 + style.side / 2:
        place = rng.choice(_relations(scene, thing))
    where = place.split()
    form = rng.random()
    if form < 0.2 and place:  # "on the left stands a red sofa"
        before = [*where, verb]
    elif form < 0.35 or (not place and form < 0.8) or (verb == "is" and not place):  # "there is a red sofa on the left"
        before = ["there", "are" if several else "is"]
    else:
        before = []
    after = [] if before[: len(where)] == where and where else where
    if not before:
        after = [verb, *after]
    # a relation names another object: the mention ends before it
    return replace(phrase, words=[*before, *phrase.words, *after], noun=len(before) + phrase.noun, side=side)


def tell_scene(scene: Scene, rng: random.Random, style: Style = Style()) -> Caption:
    """A caption of a room in sentences with verbs, shortened to fit `MAX_WORDS`."""
    wall = scene.wall if rng.random() < style.room else None
    floor = scene.floor if rng.random() < style.room else None
    opening = f"in a {wall} room" if wall else "in a room" if rng.random() < 0.2 else ""
    words: list[str] = opening.split()
    if floor:
        words += ["with" if words else "on", article(floor), floor, "floor"]
    mentions: list[Mention] = []
    phrases = _phrases(scene, replace(style, side=0.0), rng)
    full_stop = rng.random() < 0.4
    for number, phrase in enumerate(phrases):
        clause = _clause(scene, phrase, style, rng)
        if number:
            words += ["."] if full_stop else ["and"] if number == len(phrases) - 1 or rng.random() < 0.2 else [","]
        start = len(words)
        words += clause.words
        mentions.append(
            Mention(
                kind=clause.kind,
                noun=start + clause.noun,
                start=start,
                end=len(words) - 1 if clause.side or clause.negated else start + clause.noun,
                colour=clause.colour,
                pattern=clause.pattern,
                side=clause.side,
                negated=clause.negated,
                things=clause.things,
            )
        )
    if len(words) > MAX_WORDS:
        return tell_scene(scene, rng, replace(style, side=style.side / 2, told=(style.told or len(scene.things)) - 1))
    return Caption(words=tuple(words), mentions=tuple(mentions), wall=wall, floor=floor)


def varied_caption(scene: Scene, rng: random.Random) -> Caption:
    """A caption in a random style, as a list or in sentences, of all or up to three objects."""
    drawn = rng.random()
    style = Style() if drawn < 0.75 else replace(TERSE, colour=1.0, pattern=1.0, omission=0.0, negation=0.0)
    if rng.random() < 0.2:
        style = replace(style, told=rng.randint(1, 3))
    return tell_scene(scene, rng, style) if rng.random() < 0.35 else caption_scene(scene, rng, style)
