"""Grammar of English instructions: the thing to edit and its change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from magedit.errors import InstructionNotUnderstood
from magedit.masks.phrases import Phrase
from magedit.masks.shapes import WORDS_MAX
from magedit.prompts import tagger
from magedit.prompts.lexicon import Entry, entry
from magedit.prompts.phrases import parse
from magedit.prompts.words import fold, is_word, words_and_marks

Action = Literal["change", "replace", "add", "remove"]

FORMS: Final = (
    "'make the left sofa blue', 'turn the sofa into a bench', 'replace the lamp with a plant', "
    "'add a hat to the dog', 'remove the cup'"
)
"""Example instructions for error messages."""

MADE: Final = "made of"
"""First words of a quality that follows its noun."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """The change that an instruction requests."""

    action: Action
    phrase: str | None = None
    """The words that locate the thing, including those that choose among several: `left sofa`; None: no thing is
    named."""
    thing: str = ""
    """The thing alone: `sofa`; empty for an addition that names none."""
    quality: str = ""
    """Of a change: what the thing becomes, `dark blue` or `made of wood`."""
    new: str = ""
    """Of a replacement or an addition: the new thing with its article."""
    place: str = ""
    """Of an addition: the preposition between the new thing and the existing one; `with`: the existing one has the new
    one."""


_POLITE: Final = re.compile(
    r"^(?:please|kindly|now|then|just|can you|could you|would you|will you|i (?:want|need) (?:you )?to|"
    r"i(?:'d| would) like (?:you )?to|let's|let us) (?:, )?",
    re.IGNORECASE,
)
_THANKS: Final = re.compile(r"(?: ,)? (?:please|for me|thanks|thank you)$", re.IGNORECASE)

_VERBS: Final = (
    "make turn change transform convert paint colour color recolour recolor dye tint replace swap exchange switch "
    "substitute add put place insert give remove delete erase take"
)
_SECOND: Final = re.compile(
    rf"(?: ;| \.|(?: ,)? and(?: then)?| , then| then) (?:{'|'.join(_VERBS.split())}) .+", re.IGNORECASE
)
_SECOND_THING: Final = re.compile(r" and (?:the|a|an|my) ", re.IGNORECASE)

_ON: Final = ("on top of", "onto", "into", "inside", "upon", "over", "on", "in", "to", "at")
BESIDE: Final = (
    *("to the left of", "to the right of", "left of", "right of", "in front of", "next to", "in between", "beside"),
    *("behind", "between", "above", "below", "beneath", "underneath", "under", "near", "by", "around", "against"),
)
_NOWHERE: Final = frozenset(
    ("left", "right", "middle", "centre", "center", "top", "bottom", "background", "foreground", "corner")
)
_PREPOSITION: Final = "|".join(sorted((*_ON, *BESIDE), key=len, reverse=True))

_REMOVE: Final = (
    re.compile(r"(?:remove|delete|erase|eliminate|hide|drop|get rid of|take away|take out|take off) (?P<x>.+)"),
    re.compile(r"take (?P<x>.+) (?:away|out|off)"),
)
_REPLACE: Final = (
    re.compile(r"substitute (?P<y>.+?) for (?P<x>.+)"),
    re.compile(r"(?:put|place) (?P<y>.+?) (?:in place of|instead of) (?P<x>.+)"),
    re.compile(r"(?:replace|substitute) (?P<x>.+?) (?:with|by) (?P<y>.+)"),
    re.compile(r"(?:swap|exchange|switch|replace) (?P<x>.+?) (?:for|with|against) (?P<y>.+)"),
)
_BECOME: Final = (
    re.compile(
        r"(?:make|turn|change|transform|convert|paint|dye|recolou?r|colou?r) (?P<x>.+?) (?:into|to be|to) (?P<y>.+)"
    ),
    re.compile(r"(?:i want|i need|i'd like|i would like|let) (?P<x>.+?) (?:to )?(?:be|become) (?P<y>.+)"),
    re.compile(r"(?P<x>.+?) (?:should|must|shall|has to|have to|needs to|need to) (?:be|become|look) (?P<y>.+)"),
    re.compile(r"make (?P<x>.+?) (?:look(?: like)?|become) (?P<y>.+)"),
    re.compile(r"(?:paint|dye|tint|recolou?r|colou?r) (?P<x>.+?) (?:in|with) (?P<y>.+)"),
)
_MATERIAL: Final = re.compile(r"make (?P<x>.+?) (?:out of|of|from) (?P<y>.+)")
_SPLIT: Final = re.compile(r"(?:make|turn|paint|dye|tint|recolou?r|colou?r) (?P<both>.+)")
_GIVE: Final = re.compile(r"give (?P<both>.+)")
_ADD: Final = re.compile(
    rf"(?:add|put|place|insert|hang|draw|paint|set|lay) (?P<y>.+?) (?P<place>{_PREPOSITION}) (?P<x>.+)"
)
_ADD_ALONE: Final = re.compile(r"(?:add|insert|draw) (?P<y>.+)")
_COLOUR_OF: Final = re.compile(
    r"(?:the )?(?:colou?r|material|texture|pattern) of (?P<of>.+)|(?P<owner>.+)'s (?:colou?r|material|texture|pattern)"
)

_AT: Final = frozenset(("on", "in", "at", "to"))
_DETERMINERS: Final = frozenset(
    ["a", "an", "the", "my", "your", "this", "that", "these", "those", "some", "two", "three", "another"]
)
_WHOLE: Final = ("image", "picture", "photo", "photograph")
_NAMES_NOTHING: Final = frozenset(
    [
        "it",
        "them",
        "this",
        "that",
        "these",
        "those",
        "he",
        "she",
        "him",
        "her",
        "they",
        "everything",
        "something",
        "one",
        *_WHOLE,
    ]
)
_DEGREES: Final = frozenset(("more", "less", "much", "very", "and", ",", "bit", "slightly", "fully"))
_COLOUR: Final = frozenset(("colour", "color", "one", "ones"))
_MATERIALS: Final = frozenset(("glass", "metal", "plastic", "paper", "ice", "chrome"))
"""Materials whose name more often means a thing."""


def read(instruction: str) -> Change:
    """Parse an English instruction.

    Raises:
        InstructionNotUnderstood: the sentence matches no known form or requests several things; the message says what
            was understood and how to rephrase it.
    """
    spans = words_and_marks(instruction)
    text = " ".join(fold(instruction[a:b]) for a, b in spans)
    text = re.sub(r"(?: [.!?])+$", "", text)
    while (polite := _THANKS.sub("", _POLITE.sub("", text))) != text:
        text = polite
    if not is_word(text):
        raise InstructionNotUnderstood(f"it is empty: say what to change, for example {FORMS}")
    if several := _SECOND.search(text):
        first = text[: several.start()]
        raise InstructionNotUnderstood(
            f"it requests several changes: {first!r} is the first. Make one edit per change, each starting from the "
            f"result before it (`source_edit`)"
        )
    found = _removal(text) or _replacement(text) or _addition(text) or _becoming(text)
    if found is None:
        raise InstructionNotUnderstood(_understood(text))
    return found


def _removal(text: str) -> Change | None:
    if not (match := _first(_REMOVE, text)):
        return None
    return Change(action="remove", **_named(re.sub(r" (?:from|out of|off) (?:the|a|my) .*$", "", match["x"]), text))


def _replacement(text: str) -> Change | None:
    match = _first(_REPLACE, text)
    return match and Change(action="replace", **_named(match["x"], text), new=with_article(match["y"]))


def _addition(text: str) -> Change | None:
    if match := _GIVE.fullmatch(text):
        words = match["both"].split()
        second = next((at for at, word in enumerate(words) if at and word in _DETERMINERS), None)
        if second is None:
            second = next((at + 1 for at, word in enumerate(words[:-1]) if at and tagger.is_noun(word)), None)
        if second is None:
            return None
        thing, new = " ".join(words[:second]), " ".join(words[second:])
        return Change(action="add", **_named(thing, text), new=with_article(new), place="with")
    if (match := _ADD.fullmatch(text)) and (not text.startswith("paint ") or match["y"].startswith(("a ", "an "))):
        new, place, there = with_article(match["y"]), match["place"], match["x"]
        if without_article(there) in _NOWHERE or (set(there.split()) & {"image", "picture", "photo", "scene"}):
            return Change(action="add", new=new)
        named = _named(there, text)
        if place in BESIDE:
            named["phrase"] = None
        return Change(action="add", **named, new=new, place="with" if place == "to" else place)
    if match := _ADD_ALONE.fullmatch(text):
        return Change(action="add", new=with_article(match["y"]))
    return None


def _becoming(text: str) -> Change | None:
    if (match := _MATERIAL.fullmatch(text)) and _is_thing(match["x"]):
        material = without_article(match["y"])
        return Change(action="change", **_named(match["x"], text), quality=f"{MADE} {material}")
    if match := _first(_BECOME, text):
        thing, new = match["x"], match["y"]
    elif match := _SPLIT.fullmatch(text):
        words = match["both"].split()
        at = _split(words)
        if at is None:
            return None
        thing, new = " ".join(words[:at]), " ".join(words[at:])
    else:
        return None
    of_quality = _COLOUR_OF.fullmatch(thing)
    if of_quality:
        thing = of_quality["of"] or of_quality["owner"]
    named = _named(thing, text)
    if quality := _quality(new, named["thing"], is_told=of_quality is not None):
        return Change(action="change", **named, quality=quality)
    return Change(action="replace", **named, new=with_article(new))


def _quality(new: str, thing: str, *, is_told: bool) -> str:
    """The quality that ``new`` gives the thing; empty if ``new`` is another thing."""
    words = new.split()
    bare = words[1:] if words[0] in ("a", "an", "the") else words
    if not bare:
        return ""
    if bare[-1] in _COLOUR or (len(bare) > 1 and _head(new) == _head(thing)):
        return " ".join(bare[:-1])
    if len(bare) == 1 and words[0] in ("a", "an"):
        return ""  # "an orange"
    if is_told or "c" in names_of(bare[-1]) or (bare == words and all(is_quality(word) for word in bare)):
        return " ".join(bare)
    if bare[:2] == ["made", "of"] or bare[:1] == ["like"]:
        return " ".join(bare)
    return ""


def _split(words: list[str]) -> int | None:
    """Split point between the thing and its new quality: `the left sofa | dark blue`; None: there is none."""
    for at, word in enumerate(words):
        if at > 1 and word in ("a", "an", "made", "like"):
            return at
    start = 1 if words[0] in _DETERMINERS else 0
    # "the picture on the left | red"
    where = next((at + 2 for at in range(1, len(words) - 2) if words[at] in _AT and words[at + 1] == "the"), None)
    if where is not None and words[where] in _NOWHERE:
        return where + 1 if where + 1 < len(words) else None
    ends = [at for at in range(start + 1, len(words)) if all(map(is_quality, words[at:]))]
    sure = [at for at in ends if not is_quality(words[at - 1])]
    if sure:
        return min(sure)
    return max(ends) if ends else None


def is_quality(word: str) -> bool:
    """Whether a word can describe a thing: an adjective, a colour, a material, a participle."""
    if word in _DEGREES:
        return True
    if set(names_of(word)) & set("cm"):
        return True
    classes = tagger.candidates(word)
    if tagger.is_noun(word) and classes.get(tagger.ADJECTIVE, -9.0) < -1.0:
        return False
    return not {tagger.ADJECTIVE, tagger.PASSIVE, tagger.ACTIVE, tagger.ADVERB}.isdisjoint(classes)


def names_of(word: str) -> str:
    """Whether a word names a colour (``c``) or a material (``m``); empty: neither."""
    return "m" if word in _MATERIALS else (entry(word) or Entry()).names


class _Named(TypedDict):
    phrase: str | None
    thing: str


def _named(thing: str, text: str) -> _Named:
    """The `phrase` and the `thing` of a change. Raises InstructionNotUnderstood."""
    bare = without_article(thing)
    if not is_word(bare) or set(bare.split()) <= _NAMES_NOTHING:
        if bare in _WHOLE:
            raise InstructionNotUnderstood(
                f"{text!r} could mean the whole picture: name a thing in it, such as {FORMS}; if the picture shows a "
                f"{bare}, say which one, such as 'the left {bare}' or 'the largest {bare}'"
            )
        raise InstructionNotUnderstood(
            f"{text!r} names no thing, only {thing!r}: say what you mean, for example {FORMS}"
        )
    if _SECOND_THING.search(thing):
        raise InstructionNotUnderstood(
            f"{text!r} is about several things, {thing!r}: make one edit per thing, each starting from the result "
            f"before it (`source_edit`), or say 'all' for things of one kind"
        )
    if len(bare) > WORDS_MAX:
        raise InstructionNotUnderstood(
            f"the words for the thing, starting {bare[:40]!r}, have {len(bare)} characters; use at most {WORDS_MAX}, "
            f"for example {FORMS}"
        )
    return _Named(phrase=bare, thing=Phrase.read(bare).thing)


def _is_thing(words: str) -> bool:
    return any(unit.is_phrase for unit in parse(words).units)


def _head(words: str) -> str:
    """The singular of the last noun in the first noun phrase."""
    unit = next((unit for unit in parse(words).units if unit.is_phrase), None)
    return unit.head if unit else ""


def without_article(words: str) -> str:
    """The words without their leading article."""
    first, _, rest = words.partition(" ")
    return rest if first in ("a", "an", "the", "my", "your", "this", "that", "these", "those") and rest else words


def with_article(words: str) -> str:
    """The words, with an article added before a singular noun that lacks one."""
    first = words.split()[0]
    last = words.split(" of ")[0].split()[-1]
    is_plural = tagger.PLURAL in tagger.candidates(last)
    if tagger.candidates(first).keys() & {tagger.DETERMINER, tagger.NUMBER} or first.endswith("'s") or is_plural:
        return words
    return f"{article(first)} {words}"


def article(word: str) -> str:
    """The indefinite article before a word."""
    spoken = re.match(r"(?:[aeiou](?<!\bu(?=ni|se|ti))|hour|honest|heir)(?!ne\b|u[rcp])", word)
    return "an" if spoken else "a"


def _first(patterns: tuple[re.Pattern[str], ...], text: str) -> re.Match[str] | None:
    return next((match for each in patterns if (match := each.fullmatch(text))), None)


def _understood(text: str) -> str:
    """What was understood of a text that matches no known form, and how to rephrase it."""
    verb, _, rest = text.partition(" ")
    parsed = parse(rest if verb in _VERBS.split() else text)
    things = [] if parsed.unknown else [parsed.slice(unit.start, unit.end) for unit in parsed.units if unit.is_phrase]
    about = " and ".join(map(repr, things[:2]))
    if verb in _VERBS.split():
        about = f"the verb {verb!r}" + (f" and {about}" if about else "")
    known = "no part of it is understood"
    if about:
        known = f"only {about} {'are' if ' and ' in about else 'is'} understood, not what should change about it"
    return f"{text!r}: {known}. Rephrase it in English like one of {FORMS}, or give `target_prompt`"
