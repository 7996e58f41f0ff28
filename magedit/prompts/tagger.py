"""Part-of-speech tagger for prompts: lists for closed classes, WordNet counts and context for open ones.

It is a bigram Viterbi search over a few classes. Its weights are hand-written grammar, not trained: English prompts are
mostly noun phrases joined by prepositions and participles, rarely clauses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from magedit.prompts.lexicon import Entry, entry
from magedit.prompts.words import fold, is_word

NOUN, PLURAL, ADJECTIVE, ADVERB = "N", "K", "A", "M"
PICTURE = "E"  # an emoji: a noun phrase of its own
VERB, THIRD = "V", "Z"  # base or past form; third person singular
ACTIVE, PASSIVE = "G", "P"  # participles that govern a phrase; those before a noun are adjectives
COPULA, PREPOSITION, CONJUNCTION, RELATIVE, NEGATION = "B", "I", "C", "R", "X"
DETERMINER, NUMBER, PRONOUN, POSSESSIVE, MARK = "D", "Q", "O", "S", "U"
START, END = "^", "$"

_LISTS: Final = {
    DETERMINER: "a an the this these those my your his her its our their every each another some any both either all",
    NUMBER: "two three four five six seven eight nine ten eleven twelve dozen twenty thirty hundred many several few "
    "multiple various numerous couple single lone solitary",
    PRONOUN: "it he she they him them himself herself itself themselves something someone nothing everything there "
    "i you we me us each-other",
    COPULA: "is are was were be been being am 's",
    RELATIVE: "which who whose whom where",
    NEGATION: "not never without no isn't aren't doesn't don't wasn't weren't cannot",
    CONJUNCTION: "and or & plus nor but +",
    PREPOSITION: "in on at of by with from into onto to for about along across through over under above below beneath "
    "behind beside besides between among amongst amid against around near towards toward upon within inside outside "
    "during after before beyond past off out up down next via per like as while when if because since until atop "
    "underneath opposite alongside throughout than despite because so featuring minus versus",
}
_ALSO: Final = {
    "that": (RELATIVE, DETERMINER),
    "one": (NUMBER, NOUN),
    "no": (NEGATION,),
    "her": (DETERMINER, PRONOUN),
    "like": (PREPOSITION,),
    "past": (PREPOSITION, ADJECTIVE, NOUN),
    "inside": (PREPOSITION, NOUN),
    "outside": (PREPOSITION, ADJECTIVE),
    "opposite": (PREPOSITION, ADJECTIVE),
    "down": (PREPOSITION, NOUN),
    "so": (ADVERB,),
    "very": (ADVERB,),
    "too": (ADVERB,),
    "there": (PRONOUN,),
    "here": (ADVERB,),
    "other": (ADJECTIVE,),
    "same": (ADJECTIVE,),
    "front": (NOUN, ADJECTIVE),
    "has": (THIRD,),
    "have": (VERB,),
    "had": (VERB,),
    "having": (ACTIVE,),
    "does": (THIRD,),
    "can": (VERB, NOUN),
    "will": (VERB,),
    "could": (VERB,),
    "should": (VERB,),
    "would": (VERB,),
    "made": (PASSIVE,),
    "set": (NOUN, PASSIVE),
    "close": (ADJECTIVE,),
    "full": (ADJECTIVE,),
    "wearing": (ACTIVE,),
    "wears": (THIRD,),
    "holding": (ACTIVE,),
    "including": (ACTIVE,),
    "surrounding": (ACTIVE, ADJECTIVE),
    "building": (NOUN, ACTIVE),
    "left": (ADJECTIVE, PASSIVE, VERB),
    "leaves": (PLURAL, THIRD),
    "lots": (PLURAL,),
    "lot": (NOUN,),
}
CLOSED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {word: (letter,) for letter, words in _LISTS.items() for word in words.split()} | _ALSO
)
"""Words whose classes are listed here, the likelier first."""

_GOVERNING = """
holding wearing carrying eating drinking riding playing reading looking watching chasing hugging pulling pushing using
having showing facing making touching feeding driving
"""
EMPTY: Final = frozenset("DICUXRBO")
GOVERNING: Final = frozenset(_GOVERNING.split())
"""Participles that take an object even at the start of a phrase ("holding umbrella"); others describe the noun there
("flying cars")."""

_BAD: Final = -8.0
_FOLLOWS: Final = """
^  D N-0.3 K-0.3 A Q G-1.5 P-1 M-1 I-1 O-0.5 X S
D  N K A Q M-1 S U-3 I-4 P-4 D-2
Q  N-0.5 K0.3 A S I-1 Q-0.5 M-1 U-0.5 C-1 P-2 G-2 $-0.5
A  N0.3 K0.3 A-0.3 C-0.3 I-0.7 U-0.3 S P-1.5 G-1.5 $-0.5 M-3 B-3 D-5 Z-3 R-3
N  I G0.3 P Z-0.5 V-5 B0.3 C U N-0.7 K-0.7 R A-2.2 M-1 X $ D-3 O-3 Q-3 S-1
K  I G0.3 P V-0.5 Z-1.5 B0.3 C U N-1.7 K-2 R A-2 M-1 X $ D-3 O-3 Q-3 S-2
S  N K A Q M-1 S-2 P-3
V  D I N-1 K-0.7 A-0.7 M O $-0.3 U-0.3 Q C-0.7 G-1 P-1 X-0.5 S-0.5 V-2
Z  D0.3 I N-1 K-0.7 A-0.5 M O $-0.5 U-0.5 Q C-0.7 G-1 P-1 X S-0.5
B  D A0.8 G0.3 P0.3 N-0.7 K-0.7 I M Q X O-1 U-1 $-1 S-0.5
G  D0.3 I0.2 N-0.7 K-0.5 A-0.4 M O $-0.2 U-0.2 Q C-0.4 X S P-2 B-3 G-2
P  I0.3 D-1 N-1.5 K-1.5 A-1.5 M $-0.3 U-0.3 C-0.4 O-2 X-1 G-1 Q-1
I  D0.3 N K A Q G-1 O I-0.5 S M-1 U-1 $-1 P-1.5 X-1 V-3 C-1 R-1
C  D0.2 N K A Q G-0.3 P-0.5 V-1.5 Z-1 M-1 I-1 O X S R-1
R  B0.5 Z0.2 V N-0.5 K-0.5 D A-1 O M-1 S
X  N K A D G Z-1 V-0.5 P-0.5 I-1 Q O-0.5 S M-1
M  A0.3 I P-0.3 G M-0.5 $ U C-0.5 N-2 K-2 D-0.7 Z-0.5 V-1 B-1 X-1 Q-0.5
O  B0.3 Z V I U $ C G-0.3 P-0.5 M-0.5 D-1 N-2 K-2 A-1 X
U  D N K A Q G-0.3 P-0.3 M-0.5 I-0.2 C-0.2 O X U S R-0.5 V-2 Z-2 B-2 $
"""
"""Scores of one class following another: the class before, then those after it with their weights (0 where none is
given, `_BAD` for those that are not named). The tagger maximises their sum."""
_FOLLOW: Final = {
    before: {each[0]: float(each[1:] or 0) for each in after}
    for before, *after in (line.split() for line in _FOLLOWS.strip().splitlines())
}
_GOVERNS_FIRST: Final = 1.5
_PER_LEVEL: Final = 0.5

_DIGIT = re.compile(r"\d+(?:[.,]\d+)?")
_UNKNOWN: Final = (
    (re.compile(r".{2,}ing"), {ACTIVE: 0.0, ADJECTIVE: 0.0, NOUN: -2.0}),
    (re.compile(r".{2,}ed"), {PASSIVE: 0.0, ADJECTIVE: 0.0, VERB: -1.0}),
    (re.compile(r".{3,}ly"), {ADVERB: 0.0, ADJECTIVE: -1.0}),
    (re.compile(r".{3,}(?:ous|ful|less|ish|ical|able|ible|ive|y|esque|like|free|proof)"), {ADJECTIVE: 0.0, NOUN: -0.5}),
    (re.compile(r".{2,}[^su]s"), {PLURAL: 0.0, THIRD: -1.5}),
)


def classes(words: Sequence[str]) -> list[str]:
    """The part of speech of each word of a prompt; words are lower case, marks count as words, ``'s`` is kept."""
    rows: list[dict[str, tuple[float, str]]] = []
    previous: dict[str, tuple[float, str]] = {START: (0.0, "")}
    for word in words:
        row: dict[str, tuple[float, str]] = {}
        for letter, own in candidates(word).items():
            best = max((score + _after(before, letter), before) for before, (score, _) in previous.items())
            if letter == ACTIVE and word in GOVERNING:
                own += _GOVERNS_FIRST
            row[letter] = (best[0] + own, best[1])
        rows.append(row)
        previous = row
    last = max(previous, key=lambda letter: previous[letter][0] + _after(letter, END))
    found = []
    for row in reversed(rows):
        found.append(last)
        last = row[last][1]
    return found[::-1]


def _after(before: str, letter: str) -> float:
    if PICTURE in (before, letter):
        before, letter = (MARK if each == PICTURE else each for each in (before, letter))
    return _FOLLOW[before].get(letter, _BAD)


def candidates(word: str) -> dict[str, float]:
    """The possible parts of speech of a word with their weights (0 for the most likely)."""
    if listed := CLOSED.get(word):
        return {letter: -1.0 * n for n, letter in enumerate(listed)}
    if not any(unicodedata.category(sign)[0] in "LN" for sign in word):
        return {PICTURE: 0.0} if is_word(word) else {MARK: 0.0}
    if word.endswith(("'s", "s'")):
        return {POSSESSIVE: 0.0}
    if _DIGIT.fullmatch(word):
        return {NUMBER: 0.0, NOUN: -2.0}
    levels = _levels(word)
    if not levels and "-" in word:
        levels = _compound(word)
    if levels:
        top = max(levels.values())
        return {letter: (level - top) * _PER_LEVEL for letter, level in levels.items()}
    return next((dict(likely) for pattern, likely in _UNKNOWN if pattern.fullmatch(word)), {NOUN: 0.0})


def is_known(word: str) -> bool:
    """Whether the word or its base form is listed or in the lexicon."""
    return word in CLOSED or bool(_levels(word)) or ("-" in word and any(map(is_known, word.split("-"))))


def names_nothing(word: str) -> bool:
    """Whether a word is a function word (article, preposition, conjunction, verb of being, ...) or a mark."""
    return candidates(fold(word)).keys() <= EMPTY


def is_noun(word: str) -> bool:
    """Whether a word is most likely a noun."""
    found = candidates(word)
    return max(found, key=lambda letter: found[letter]) in (NOUN, PLURAL)


def base_noun(word: str) -> str:
    """The singular of a noun, for comparison; other words unchanged."""
    found = entry(word)
    if found and "p" in found.names:
        return found.base
    if found and found.noun and not (word.endswith("s") and (own := _singular(word)) and own[1].noun > found.noun):
        return word
    own = _singular(word)
    return own[0] if own else word


def _compound(word: str) -> dict[str, float]:
    """The part of speech of a hyphenated word from its last part: "rainbow-colored" an adjective, "t-shirt" a noun."""
    last = candidates(word.rsplit("-", 1)[1])
    if PASSIVE in last or ACTIVE in last or ADJECTIVE in last:
        return {ADJECTIVE: 6.0, NOUN: 2.0}
    return {NOUN: 6.0, ADJECTIVE: 5.0} if PLURAL not in last else {PLURAL: 6.0}


def _levels(word: str) -> dict[str, float]:
    """The lexicon's parts of speech of a word and its base form, with frequency levels (1 to 10)."""
    levels: dict[str, float] = {}

    def add(letter: str, level: float) -> None:
        if level > 0:
            levels[letter] = max(level, levels.get(letter, 0.0))

    found = entry(word) or Entry()
    irregular = bool(found.base)
    is_plural = "p" in found.names
    add(PLURAL if is_plural else NOUN, found.noun)
    add(ADJECTIVE, found.adjective)
    add(ADVERB, found.adverb)
    if word.endswith("ing") and len(word) > 4:
        verb: float = max((each.verb for each in map(entry, _stems(word[:-3])) if each), default=0)
        verb = max(verb, found.verb if irregular else 0)
        if verb:
            # A word that is a noun in WordNet ("building") counts as one unless it is rare.
            verb = max(4, verb - 2.5 * (found.noun >= 4))
            add(ACTIVE, verb)
            add(ADJECTIVE, verb - 1.0)
    elif word.endswith("ed") and len(word) > 3:
        verb = max((each.verb for each in map(entry, (*_stems(word[:-2]), word[:-1])) if each), default=0)
        if verb or found.verb:
            verb = max(verb, found.verb)
            add(PASSIVE, max(verb, 3))
            add(ADJECTIVE, max(3.0, verb - 0.5))
            add(VERB, verb - 2)
    elif irregular and found.verb:
        # "rose", "saw", "ground": in a prompt more likely the noun.
        verb = found.verb - 3.5 * (found.noun >= 2)
        add(PASSIVE, verb)
        add(ADJECTIVE, verb - 2.0)
        add(VERB, verb - 0.5)
    else:
        add(VERB, found.verb - 3.0)
    if word.endswith("s") and not word.endswith("ss") and len(word) > 2:
        if own := _singular(word):
            add(PLURAL, own[1].noun)
        verb = max((each.verb for each in map(entry, _without_s(word)) if each), default=0)
        add(THIRD, verb)
    if word.endswith(("er", "est")):
        cut = 2 if word.endswith("er") else 3
        add(ADJECTIVE, max((each.adjective for each in map(entry, _stems(word[:-cut])) if each), default=0))
    return levels


def _stems(cut: str) -> tuple[str, ...]:
    """Possible base forms of a stem: run for "runn", make for "mak", happy for "happi"."""
    doubled = (cut[:-1],) if len(cut) > 2 and cut[-1] == cut[-2] else ()
    return (cut, f"{cut}e", *doubled, *((f"{cut[:-1]}y",) if cut.endswith("i") else ()))


def _without_s(word: str) -> tuple[str, ...]:
    forms = [word[:-1]]
    if word.endswith("ies"):
        forms.append(f"{word[:-3]}y")
    if word.endswith("es"):
        forms.append(word[:-2])
    return tuple(forms)


def _singular(word: str) -> tuple[str, Entry] | None:
    found = entry(word)
    if found and "p" in found.names:
        base = entry(found.base)
        return (found.base, base) if base else None
    if not word.endswith("s") or word.endswith("ss"):
        return None
    for form in _without_s(word):
        own = entry(form)
        if own and own.noun:
            return form, own
    return None
