"""Alignment of two prompts by their noun phrases and connectives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from magedit.prompts import tagger
from magedit.prompts.phrases import JOINING, VERBS, Unit

_LINKS: Final = VERBS | {tagger.PREPOSITION, tagger.NEGATION, tagger.ADJECTIVE}

# An unchanged phrase must outweigh two gaps; a replacement must cost less than two gaps, and marks must weigh too
# little to separate phrases.
_SAME, _SAME_HEAD, _SHARED_WORD, _OTHER = 5.0, 3.0, 0.3, -0.2
_SAME_LINK, _SAME_MARK, _ALIKE_LINK = 1.0, 0.4, 0.1
_OPEN, _MORE = -0.5, -0.1
_NEVER: Final = -2.0


class Pair(NamedTuple):
    """A unit of the source and its counterpart in the target; None if one is missing."""

    old: Unit | None
    new: Unit | None


def pair(old: Sequence[Unit], new: Sequence[Unit]) -> list[Pair]:
    """Align the units of two prompts: Needleman-Wunsch with affine gaps (Gotoh 1982), scored by similarity.

    An object is paired with its replacement. Among equal alignments the one with later gaps wins, because descriptions
    follow their noun.
    """
    first = 0
    while first < min(len(old), len(new)) and old[first].like(new[first]):
        first += 1
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last].like(new[-1 - last]):
        last += 1
    return [
        *map(Pair, old[:first], new[:first]),
        *_pair_middle(old[first : len(old) - last], new[first : len(new) - last]),
        *map(Pair, old[len(old) - last :], new[len(new) - last :]),
    ]


def _pair_middle(old: Sequence[Unit], new: Sequence[Unit]) -> list[Pair]:
    n, m = len(old), len(new)
    # best[move][i][j] is the best score of old[i:] and new[j:] after a pair (move 0), a gap in new (1) or in old (2);
    # choice the move that reaches it.
    best = [[[float("-inf")] * (m + 1) for _ in range(n + 1)] for _ in range(3)]
    choice = [[[0] * (m + 1) for _ in range(n + 1)] for _ in range(3)]
    for move in range(3):
        best[move][n][m] = 0.0
    for i in range(n, -1, -1):
        for j in range(m - (i == n), -1, -1):
            paired = best[0][i + 1][j + 1] + _alike(old[i], new[j]) if i < n and j < m else float("-inf")
            lost = best[1][i + 1][j] + _MORE if i < n else float("-inf")
            fresh = best[2][i][j + 1] + _MORE if j < m else float("-inf")
            for move in range(3):
                scores = (paired, lost + (move != 1) * _OPEN, fresh + (move != 2) * _OPEN)
                best[move][i][j] = max(scores)
                choice[move][i][j] = scores.index(best[move][i][j])
    pairs = []
    i = j = move = 0
    while i < n or j < m:
        move = choice[move][i][j]
        pairs.append(Pair(old[i] if move != 2 else None, new[j] if move != 1 else None))
        i, j = i + (move != 2), j + (move != 1)
    return pairs


def _alike(old: Unit, new: Unit) -> float:
    if old.is_phrase and new.is_phrase:
        if old.like(new):
            return _SAME
        return _SAME_HEAD + _SHARED_WORD * len(set(old.core) & set(new.core)) if old.head == new.head else _OTHER
    if old.like(new):
        return _SAME_MARK if old.kind in JOINING else _SAME_LINK
    if old.is_phrase or new.is_phrase:
        return 0.0 if tagger.ADJECTIVE in (old.kind, new.kind) else _NEVER
    if old.kind == new.kind and old.kind not in JOINING:
        return _ALIKE_LINK
    return 0.0 if old.kind in _LINKS and new.kind in _LINKS else _NEVER
