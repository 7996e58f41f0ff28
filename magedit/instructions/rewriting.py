"""Source and target prompt of a change, with or without a caption of the picture."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from magedit.errors import InstructionNotUnderstood, SeveralFound
from magedit.instructions.rules import BESIDE, MADE, Change, article, names_of, with_article
from magedit.masks.phrases import Phrase
from magedit.prompts import tagger
from magedit.prompts.phrases import PHRASE, Prompt, Unit, parse
from magedit.prompts.words import fold

PATTERNS: Final = frozenset(
    ["plain", "striped", "dotted", "plaid", "checked", "checkered", "floral", "spotted", "patterned", "tartan"]
)
"""Groups of mutually exclusive qualities; colours and materials are exclusive, too."""
_SHADES: Final = frozenset(["dark", "light", "bright", "pale", "deep"])
BACKGROUNDS: Final = ("background", "room", "wall", "floor", "ground")
"""Target prompts for the removal of everything named; the first one in the checkpoint's vocabulary is used."""

_SIDE: Final = re.compile(
    r"\s+(?:on|in|at|to) the (left|right|top|bottom|middle|centre|center)\b(?: side)?", re.IGNORECASE
)
_ON_ITS_OWN: Final = re.compile(rf"\s+(?:{'|'.join(('on top of', 'onto', 'upon', 'over', 'on', 'at', *BESIDE))})\s+")
"""Prepositions whose object stays when the thing before them is removed."""
_ARTICLES: Final = frozenset(("a", "an", "the"))
_IS: Final = re.compile(r"\s+(?:(?:that|which) )?(?:is|are) (?P<quality>[\w-]+)", re.IGNORECASE)


def prompts_of(change: Change, source: str | None, vocabulary: Collection[str] | None = None) -> tuple[str, str]:
    """The source and the target prompt of a change.

    Args:
        change: the change.
        source: caption of the picture, in which the thing is changed (and added if it is missing); None: the thing
            alone.
        vocabulary: the checkpoint's closed vocabulary; None: any word.

    Raises:
        SeveralFound: the source prompt names several different things that match; lists them.
    """
    if source is None:
        if change.action == "add" and not change.thing:
            there = f"a {_background(vocabulary)}"
            return there, f"{there} with {change.new}"
        source = with_article(change.thing)
    elif change.thing and _find(parse(source), change) is None:
        source = f"{source.rstrip(' .,')}, {with_article(change.thing)}"
    if change.action == "add" and not change.thing:
        return source, f"{source.rstrip(' .,')}, {change.new}"
    prompt = parse(source)
    unit = _find(prompt, change)
    if unit is None:
        raise InstructionNotUnderstood(
            f"{change.thing!r} names no thing: name one, or give `source_prompt` and `target_prompt`"
        )
    if change.action == "change":
        return source, _changed(prompt, unit, change.quality)
    if change.action == "remove":
        return source, _without(prompt, unit) or with_article(_background(vocabulary))
    start, end = prompt.spans[unit.start][0], prompt.spans[unit.end - 1][1]
    thing, new = source[start:end], change.new
    if change.action == "replace":
        end = _end_of_tail(prompt, unit, _tail(change.thing))
    elif change.place == "with":
        new = f"{thing} with {change.new}"
    else:
        new = f"{change.new} {change.place} {thing}"
    return source, source[:start] + new + source[end:]


def _background(vocabulary: Collection[str] | None) -> str:
    known = (word for word in BACKGROUNDS if vocabulary is None or word in vocabulary)
    return next(known, BACKGROUNDS[0])


def _find(prompt: Prompt, change: Change) -> Unit | None:
    """The prompt's noun phrase for the thing. Raises SeveralFound."""
    named = next((unit for unit in parse(change.thing).units if unit.is_phrase), None)
    if named is None:
        return None
    tail = _tail(change.thing)
    chosen = Phrase.read(change.phrase or change.thing).extreme
    found = [unit for unit in prompt.units if unit.is_phrase and unit.head == named.head]
    found = [unit for unit in found if set(named.core[:-1]) <= set(unit.core)]
    found = [unit for unit in found if tail and _end_of_tail(prompt, unit, tail) > _end(prompt, unit)] or found
    found = [unit for unit in found if _side(prompt, unit) == chosen] or found
    texts = {prompt.words[unit.start : unit.end]: prompt.slice(unit.start, unit.end) for unit in found}
    if len({unit.core for unit in found}) > 1:
        listed = ", ".join(map(repr, texts.values()))
        raise SeveralFound(
            f"several things in the source prompt match {change.thing!r}: {listed}. Say in the instruction which one "
            f"you mean, in the source prompt's words, or give `target_prompt`",
            field="instruction",
        )
    return found[0] if found else None


def _end(prompt: Prompt, unit: Unit) -> int:
    return prompt.spans[unit.end - 1][1]


def _tail(thing: str) -> list[str]:
    """The words after a thing's name that describe it, without articles: `in red pot`."""
    parsed = parse(thing)
    named = next((unit for unit in parsed.units if unit.is_phrase), None)
    words = list(parsed.words[named.end :]) if named else []
    return [word for word in words if word not in _ARTICLES]


def _end_of_tail(prompt: Prompt, unit: Unit, tail: list[str]) -> int:
    """End of a thing in the text, including a matching description after it."""
    left = list(tail)
    for word, (_, end) in zip(prompt.words[unit.end :], prompt.spans[unit.end :], strict=True):
        if left and word == left[0]:
            left.pop(0)
            if not left:
                return end
        elif word not in _ARTICLES:
            break
    return _end(prompt, unit)


def _side(prompt: Prompt, unit: Unit) -> str | None:
    """The side on which the prompt places a thing."""
    after = _SIDE.match(prompt.text, _end(prompt, unit))
    said = Phrase.read(" ".join(unit.words)).extreme
    return after[1].lower() if after else said


def _family(word: str) -> str:
    """The group of mutually exclusive qualities a word belongs to, as a letter; empty: no group."""
    if word in PATTERNS:
        return "p"
    return next((letter for letter in "cm" if letter in names_of(word)), "")


def _changed(prompt: Prompt, unit: Unit, quality: str) -> str:
    """The prompt with a new quality of a thing, replacing one that excludes it."""
    start, end = prompt.spans[unit.start][0], prompt.spans[unit.end - 1][1]
    words = [prompt.text[a:b] for a, b in prompt.spans[unit.start : unit.end]]
    if quality.startswith((MADE, "like ")):
        return f"{prompt.text[:end]} {quality}{prompt.text[end:]}"
    families = {_family(word) for word in quality.split()} - {""}
    if (told := _IS.match(prompt.text, end)) and _family(fold(told["quality"])) in families:
        return prompt.text[: told.start("quality")] + quality + prompt.text[told.end("quality") :]
    # "apple tree" is a compound noun, "red carpet" is not
    is_compound = unit.compound and not _family(fold(words[-2]))
    first, last = unit.named - unit.start, len(words) - (2 if is_compound else 1)
    at = last if families and "p" not in families else first
    kept, place = words[:first], None
    for number, word in enumerate(words[first:last], first):
        is_shade = fold(word) in _SHADES and number + 1 < last and _family(fold(words[number + 1])) in families
        if is_shade or _family(fold(word)) in families:
            place = len(kept) if place is None else place
        elif not (place == len(kept) and fold(word) in ("and", ",")):
            kept.append(word)
    dropped = last - first - (len(kept) - first)
    place = place if place is not None else at - dropped
    new = [*kept[:place], *quality.split(), *kept[place:], *words[last:]]
    if fold(new[0]) in ("a", "an") and len(new) > 1:
        indefinite = article(fold(new[1]))
        new[0] = indefinite.capitalize() if new[0][0].isupper() else indefinite
    return prompt.text[:start] + " ".join(new) + prompt.text[end:]


def _without(prompt: Prompt, unit: Unit) -> str:
    """The prompt without a thing and its description; empty if nothing else is left."""
    text, end = prompt.text, prompt.spans[unit.end - 1][1]
    while not (_ON_ITS_OWN.match(text, end) and not _SIDE.match(text, end)):
        if side := _SIDE.match(text, end):
            end = side.end()
            continue
        following = [each for each in prompt.units if prompt.spans[each.start][0] >= end][:2]
        if [each.kind for each in following] != [tagger.PREPOSITION, PHRASE]:
            break
        end = prompt.spans[following[1].end - 1][1]
    before, after = text[: prompt.spans[unit.start][0]], text[end:]
    if own := _ON_ITS_OWN.match(text, end):
        return before + text[own.end() :]
    if re.match(r"\s*(?:,|and\b)", after) and (re.search(r"\bwith\s+$", before) or not before.strip()):
        return before + re.sub(r"^\s*,?\s*(?:and\s+)?", "", after)
    joined = re.sub(r"(?:\s*,)?\s+(?:and|with|has|having|wearing|holding)\s+$|\s*,\s*$", "", before)
    return (joined + after).strip(" ,.")
