"""Validation of an edit's prompts and words against the model and each other."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from magedit.config import WORD_MAX, WORDS_MAX, Region
from magedit.errors import NothingToGuide, PromptNotSupported, PromptTooLong, RegionMismatch, WordNotFound
from magedit.measures.report import EditWarning
from magedit.prompts.alignment import Encoded, Tokenize, find_word
from magedit.prompts.reading import Reading, read_prompts
from magedit.prompts.tagger import base_noun
from magedit.prompts.words import whole_words

SHOWN = 200
"""Most characters of a prompt's end that an error shows."""


class EditWords(NamedTuple):
    """The regions of an edit with their words, and warnings about words inferred from the prompts."""

    regions: tuple[Region, ...]
    warnings: tuple[EditWarning, ...]


def check_prompt(
    tokenize: Tokenize,
    prompt: str,
    *,
    max_tokens: int,
    field: str,
    vocabulary: Collection[str] | None = None,
) -> Encoded:
    """Tokenize ``prompt`` and check it against the text encoder's length and its vocabulary, if closed.

    Raises:
        PromptTooLong: more than ``max_tokens`` tokens, begin and end token included; names the words beyond them.
        PromptNotSupported: a word of the prompt is not in ``vocabulary``.
    """
    encoded = tokenize(prompt)
    if len(encoded.ids) > max_tokens:
        marks = len(encoded.ids) - len(encoded.named)
        raise PromptTooLong(
            f"{field} has {len(encoded.named)} tokens, the model accepts {max_tokens - marks}. The words "
            f"{_beyond(prompt, encoded, max_tokens - 1)!r} exceed the limit: shorten the prompt accordingly",
            field=field,
            values={"tokens": len(encoded.named), "max_tokens": max_tokens - marks},
        )
    check_vocabulary(prompt, vocabulary, field=field)
    return encoded


def check_vocabulary(prompt: str, vocabulary: Collection[str] | None, *, field: str) -> None:
    """Check ``prompt`` against a closed ``vocabulary``; None allows any word. Raises PromptNotSupported."""
    if vocabulary is not None and (unknown := unknown_words(prompt, vocabulary)):
        told = f"{field} has {told_unknown(unknown, vocabulary)}"
        raise PromptNotSupported(told, field=field, values={"unknown_words": list(unknown)})


def unknown_words(prompt: str, vocabulary: Collection[str] | None) -> tuple[str, ...]:
    """The words of ``prompt`` missing from a closed ``vocabulary``; with None, no word is missing."""
    if vocabulary is None:
        return ()
    return tuple(prompt[a:b] for a, b in whole_words(prompt) if prompt[a:b].lower() not in vocabulary)


def in_vocabulary(text: str, vocabulary: Collection[str] | None) -> str:
    """``text`` with plurals missing from a closed ``vocabulary`` replaced by known singulars; with None, unchanged."""
    for start, end in reversed(whole_words(text) if vocabulary is not None else []):
        word = text[start:end].lower()
        if vocabulary is not None and word not in vocabulary and (singular := base_noun(word)) in vocabulary:
            text = text[:start] + singular + text[end:]
    return text


def told_unknown(unknown: Sequence[str], vocabulary: Collection[str]) -> str:
    """The message about words outside a closed ``vocabulary``: the words, and the known ones."""
    known = sorted(word for word in vocabulary if whole_words(word) == [(0, len(word))])
    return f"words that this model does not know: {', '.join(unknown)}. It knows: {', '.join(known)}"


def check_words(source: str, target: str, regions: Sequence[Region], *, needs_words: bool = True) -> EditWords:
    """Check the edit words of each region and fill in the default words of regions without any.

    Default words come from the prompts (`Reading.default_words`): the first `WORDS_MAX` phrases of at most `WORD_MAX`
    characters.

    ``needs_words`` is False for methods and strengths without guidance, which need no edit words.

    Raises:
        WordNotFound: a word of a region is not a whole word of the target prompt.
        NothingToGuide: a region has no words and the target prompt adds none of an acceptable length.
        RegionMismatch: several regions have no words and the prompts change several objects; suggests an assignment.
    """
    given = all(region.words for region in regions)
    found = () if given else read_prompts(source, target).default_words
    short = tuple(phrase for phrase in found if len(phrase) <= WORD_MAX)
    if needs_words and not given:
        _require_words(read_prompts(source, target), short)
        _require_one_way(regions, read_prompts(source, target))
    left = _left(regions, target, short)[:WORDS_MAX]
    resolved = []
    for region in regions:
        words = tuple(region.words) or left
        for word in words:
            find_word(target, word)
        for word in region.negative_words:
            _find_negative(source, target, word)
        resolved.append(replace(region, words=words))
    return EditWords(tuple(resolved), _left_out(found, short[:WORDS_MAX]))


def propose(phrases: Sequence[str], regions: int) -> tuple[tuple[str, ...], ...]:
    """Suggested phrases per region, one each in the prompt's order.

    The last region gets all remaining phrases; if there are too few, the last phrase is repeated."""
    each = [(phrases[min(n, len(phrases) - 1)],) for n in range(regions - 1)]
    return (*each, tuple(phrases[regions - 1 :]) or tuple(phrases[-1:]))


def _beyond(prompt: str, encoded: Encoded, kept: int) -> str:
    """The words that have tokens beyond the first ``kept``."""
    first = encoded.offsets[kept][0]
    begun = next((a for a, b in whole_words(prompt) if a <= first < b), first)
    text = prompt[begun:].strip()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _require_words(reading: Reading, short: Sequence[str]) -> None:
    found = reading.default_words
    if found and not short:
        raise NothingToGuide(
            f"the target prompt adds the phrase {found[0][:40]!r}... of {len(found[0])} characters; a guided one has "
            f"at most {WORD_MAX}: give shorter ones in `words`"
        )
    if not found:
        raise NothingToGuide(
            f"the target prompt {reading.target!r} adds no word to the source prompt {reading.source!r} and no edit "
            f"words are given: name the words for the masked area (for a removal, what fills it), or use method 'p2p'"
        )


def _require_one_way(regions: Sequence[Region], reading: Reading) -> None:
    """Raise an error that asks the caller to assign several changes to masks, if they are ambiguous."""
    if sum(not region.words for region in regions) < 2 or len(reading.words) < 2:
        return
    proposal = [{"words": list(words)} for words in propose(reading.words, len(regions))]
    raise RegionMismatch(
        f"there are {len(regions)} masks, and the prompts change {len(reading.words)} things: "
        f"{', '.join(map(repr, reading.words))}. Assign them in `regions`; if they are in the prompt's order, use "
        f"regions={json.dumps(proposal, ensure_ascii=False)}"
    )


def _left(regions: Sequence[Region], target: str, found: Sequence[str]) -> tuple[str, ...]:
    """The phrases that share no word with the regions', or all phrases if each shares one."""
    taken = {span for region in regions for word in region.words for span in find_word(target, word)}
    left = [
        phrase
        for phrase in found
        if not any(a < end and start < b for a, b in find_word(target, phrase) for start, end in taken)
    ]
    return tuple(left or found)


def _left_out(found: Sequence[str], used: Sequence[str]) -> tuple[EditWarning, ...]:
    left_out = [phrase for phrase in found if phrase not in used]
    if not left_out:
        return ()
    shown = ", ".join(repr(phrase if len(phrase) <= WORD_MAX else f"{phrase[:40]}...") for phrase in left_out)
    return (
        EditWarning(
            code="words_left_out",
            message=f"the target prompt adds {len(found)} phrases; a region has at most {WORDS_MAX}, of at most "
            f"{WORD_MAX} characters each. Left out: {shown}. To choose, name the words in `words`",
            field="words",
        ),
    )


def _find_negative(source: str, target: str, word: str) -> None:
    """Find a negative word in the target prompt: guidance reads the edit's maps, and a word that is not in the prompt
    has none."""
    try:
        find_word(target, word)
    except WordNotFound as error:
        try:
            find_word(source, word)
        except WordNotFound:
            raise error from None
        raise WordNotFound(
            f"{word!r} occurs only in the source prompt and has no attention in the edit to suppress: put it in "
            f"`negative_prompt`, or in the target prompt as well"
        ) from error
