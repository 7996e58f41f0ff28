"""Word lookup, tokens and the alignment of two prompts, as pure functions free of torch.

A prompt is tokenized to `Encoded`: token ids and the character span of each token in the prompt. Words are mapped to
tokens through these spans, so that punctuation, repeated words and words of several tokens need no special case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from magedit.errors import WordNotFound
from magedit.prompts.words import fold, folded_words, whole_words, words_and_marks

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPEC = re.compile(r"^(?P<word>.*?)(?:\[(?P<nth>[1-9]\d*)\])?$", re.DOTALL)


PADDING = -1
"""Id of an empty column between the tokens of two text encoders."""


@dataclass(frozen=True)
class Encoded:
    """Tokens of one prompt with begin and end token, unpadded; ``offsets[n]`` is token n's [start, end) in the prompt.

    If several text encoders each have their own columns, token n belongs to column n: the tokens of each encoder begin
    at one of ``starts``, with `PADDING` between them.
    """

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    starts: tuple[int, ...] = (0,)

    @property
    def named(self) -> tuple[int, ...]:
        """The tokens of the text itself, without begin, end and padding."""
        return tuple(n for n, (start, end) in enumerate(self.offsets) if start < end)

    def parts(self, length: int) -> list[tuple[Encoded, int, int]]:
        """For each text encoder, its tokens, their first column, and its number of columns out of ``length``."""
        found = []
        ends = (*self.starts[1:], len(self.ids))
        for start, end, columns in zip(self.starts, ends, (*self.starts[1:], length), strict=True):
            last = next((n for n in range(end, start, -1) if self.ids[n - 1] != PADDING), start)
            found.append((Encoded(self.ids[start:last], self.offsets[start:last]), start, columns - start))
        return found

    @classmethod
    def side_by_side(cls, parts: Sequence[Encoded], lengths: Sequence[int]) -> Encoded:
        """The tokens of several text encoders combined; encoder n has ``lengths[n]`` columns."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        starts = []
        for n, part in enumerate(parts):
            # A prompt that is too long is refused; until then its tokens are all here.
            begin = max(sum(lengths[:n]), len(ids))
            gap = begin - len(ids)
            starts.append(begin)
            ids += [PADDING] * gap + list(part.ids)
            offsets += [(0, 0)] * gap + list(part.offsets)
        return cls(tuple(ids), tuple(offsets), tuple(starts))


Tokenize = Callable[[str], Encoded]


@dataclass(frozen=True)
class Alignment:
    """Refine alignment of two prompts (P2P 2208.01626, section 4): per target position, ``length`` long.

    ``mapper[n]`` is the source position that target position n takes its map from, ``alpha[n]`` is 1 where the two
    prompts agree and 0 where the target is new (there ``mapper[n]`` is -1).
    """

    mapper: tuple[int, ...]
    alpha: tuple[float, ...]


def from_tokenizers(tokenizer_json: str) -> Tokenize:
    """A tokenize function from a ``tokenizer.json`` (library *tokenizers*), for processes without transformers."""
    from tokenizers import Tokenizer

    tokenizer: Tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def tokenize(prompt: str) -> Encoded:
        encoding = tokenizer.encode(prompt)
        return Encoded(tuple(encoding.ids), tuple(encoding.offsets))

    return tokenize


def find_word(prompt: str, spec: str, *, field: str = "words") -> list[tuple[int, int]]:
    """Character spans of ``spec`` in ``prompt`` as whole words, compared after `fold`.

    ``spec`` is a word or phrase; ``spec[2]`` selects its second occurrence, otherwise all are returned.

    Raises:
        WordNotFound: it does not occur, or not that often; names the word, the prompt and the fix.
    """
    match = _SPEC.match(spec.strip())
    assert match is not None  # the pattern matches every string
    wanted = folded_words(match["word"])
    spans = whole_words(prompt)
    words = folded_words(prompt)
    found = [
        (spans[i][0], spans[i + len(wanted) - 1][1])
        for i in range(len(words) - len(wanted) + 1)
        if wanted and words[i : i + len(wanted)] == wanted
    ]
    if not found:
        raise WordNotFound(
            f"{spec!r} is not a whole word of the target prompt {prompt!r}: use one of its words, as it stands there",
            field=field,
            values={"word": spec},
        )
    if match["nth"] is None:
        return found
    nth = int(match["nth"])
    if nth > len(found):
        raise WordNotFound(
            f"{spec!r} selects occurrence {nth}, but the target prompt {prompt!r} has it {len(found)} time(s)",
            field=field,
        )
    return [found[nth - 1]]


def token_indices(prompt: str, encoded: Encoded, spec: str, *, field: str = "words") -> tuple[int, ...]:
    """Ascending indices of the tokens of the word ``spec`` in ``prompt`` (J_w in the paper).

    Raises:
        WordNotFound: see `find_word`.
    """
    spans = find_word(prompt, spec, field=field)
    return tuple(sorted(n for span in spans for n in _tokens_within(encoded, span)))


def align(source: Sequence[int], target: Sequence[int], length: int) -> Alignment:
    """Refine alignment of two token sequences, ``length`` positions (77 for CLIP).

    Needleman-Wunsch with match +1, mismatch -1, gap 0; ties prefer a gap in the source, then a gap in the target, then
    the match, as in Prompt-to-Prompt's published alignment, so that a changed word counts as inserted. Positions
    after the target's end map one to one.

    Raises:
        ValueError: the target is longer than ``length``.
    """
    n, m = len(source), len(target)
    if m > length:
        raise ValueError(f"target has {m} tokens, more than the {length} positions")
    score = [[0] * (m + 1) for _ in range(n + 1)]
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            match = score[i - 1][j - 1] + (1 if source[i - 1] == target[j - 1] else -1)
            score[i][j] = max(score[i][j - 1], score[i - 1][j], match)
    mapper = [-1] * m
    i, j = n, m
    while j > 0:
        if i == 0 or score[i][j] == score[i][j - 1]:
            j -= 1
        elif score[i][j] == score[i - 1][j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            mapper[j] = i
    alpha = [0.0 if k < 0 else 1.0 for k in mapper]
    return Alignment(
        tuple(mapper) + tuple(range(m, length)),
        tuple(alpha) + (1.0,) * (length - m),
    )


def align_tokens(source: Encoded, target: Encoded, length: int) -> Alignment:
    """`align` of two prompts, for each text encoder's tokens separately."""
    mapper: list[int] = []
    alpha: list[float] = []
    for (old, start, columns), (new, _, _) in zip(source.parts(length), target.parts(length), strict=True):
        own = align(old.ids, new.ids, columns)
        mapper += [k if k < 0 else start + k for k in own.mapper]
        alpha += own.alpha
    return Alignment(tuple(mapper), tuple(alpha))


def new_words(source: str, target: str) -> frozenset[tuple[int, int]]:
    """Character spans of the whole words of ``target`` that are new according to the alignment of both prompts."""
    spans = words_and_marks(target)
    old, new = ([fold(text[a:b]) for a, b in words_and_marks(text)] for text in (source, target))
    numbers = {word: number for number, word in enumerate(dict.fromkeys((*old, *new)))}
    mapper = align([numbers[word] for word in old], [numbers[word] for word in new], len(new)).mapper
    fresh = {span for span, k in zip(spans, mapper, strict=True) if k < 0}
    return frozenset(span for span in whole_words(target) if span in fresh)


def counterparts(alignment: Alignment, tokens: Collection[int]) -> tuple[int, ...]:
    """Ascending source positions that ``tokens`` of the target replace, empty for an addition.

    An aligned token replaces its counterpart, a new one the source positions between its aligned neighbours.
    """
    found: set[int] = set()
    for n in tokens:
        if alignment.mapper[n] >= 0:
            found.add(alignment.mapper[n])
            continue
        before = next(k for k in reversed(alignment.mapper[:n]) if k >= 0)
        after = next(k for k in alignment.mapper[n + 1 :] if k >= 0)
        found.update(range(before + 1, after))
    return tuple(sorted(found))


def replacement_matrix(
    source: str, target: str, encoded_source: Encoded, encoded_target: Encoded, length: int
) -> list[list[float]]:
    """Replace mapper of P2P (2208.01626, section 4): (length, length), entry [s][t] the weight of source in target.

    The tokens of each changed word are spread evenly over the tokens of its replacement. As in the published program,
    tokens after the last changed word map one to one by *target* position, even if the two words differ in their number
    of tokens. Each text encoder's tokens map among themselves.

    Raises:
        WordNotFound: the prompts differ in their number of words (field ``injection``).
    """
    spans_s, spans_t = whole_words(source), whole_words(target)
    if len(spans_s) != len(spans_t):
        raise WordNotFound(
            f"injection 'replace' needs prompts with the same number of words; the source has {len(spans_s)}, the "
            f"target {len(spans_t)}: use injection 'refine'",
            field="injection",
        )
    changed = [
        (a, b) for a, b in zip(spans_s, spans_t, strict=True) if fold(source[slice(*a)]) != fold(target[slice(*b)])
    ]
    matrix = [[0.0] * length for _ in range(length)]
    for (old, start, columns), (new, _, _) in zip(
        encoded_source.parts(length), encoded_target.parts(length), strict=True
    ):
        swaps = [(_tokens_within(old, a), _tokens_within(new, b)) for a, b in changed]
        # A text encoder that is left out, such as T5, has no tokens.
        for i, row in enumerate(_replacements([(a, b) for a, b in swaps if a and b], columns)):
            matrix[start + i][start : start + columns] = row
    return matrix


def _replacements(swaps: list[tuple[list[int], list[int]]], length: int) -> list[list[float]]:
    """`replacement_matrix` of one text encoder; ``swaps`` are the tokens of each changed word and of its successor."""
    matrix = [[0.0] * length for _ in range(length)]
    i = j = 0
    while i < length and j < length:
        if swaps and swaps[0][0][0] == i:
            old, new = swaps.pop(0)
            for k, s in enumerate(old):
                if len(old) == len(new):
                    matrix[s][new[k]] = 1.0
                else:
                    for t in new:
                        matrix[s][t] = 1.0 / len(new)
            i, j = i + len(old), j + len(new)
        else:
            matrix[i if swaps else j][j] = 1.0
            i, j = i + 1, j + 1
    return matrix


def _tokens_within(encoded: Encoded, span: tuple[int, int]) -> list[int]:
    return [n for n, (start, end) in enumerate(encoded.offsets) if start < end and start < span[1] and span[0] < end]
