"""Words, tokens and alignment, against the recorded vectors and by property."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magedit.errors import WordNotFound
from magedit.prompts.alignment import (
    Encoded,
    Tokenize,
    align,
    align_tokens,
    find_word,
    from_tokenizers,
    replacement_matrix,
    token_indices,
)
from magedit.prompts.words import whole_words
from tests.magedit.conftest import CHECKPOINT, VECTORS

PAIRS: list[dict[str, Any]] = json.loads((VECTORS / "prompts.json").read_text())


@pytest.fixture(scope="module")
def tokenize() -> Tokenize:
    return from_tokenizers((CHECKPOINT / "tokenizer" / "tokenizer.json").read_text())


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair["target"])
def test_tokens_alignment_and_words_agree_with_the_vectors(pair: dict[str, Any], tokenize: Tokenize) -> None:
    source, target = tokenize(pair["source"]), tokenize(pair["target"])
    assert list(source.ids) == pair["source_ids"]
    assert list(target.ids) == pair["target_ids"]
    alignment = align(source.ids, target.ids, 77)
    assert list(alignment.mapper) == pair["refine_mapper"]
    assert list(alignment.alpha) == pair["refine_alpha"]
    for word, indices in pair["words"].items():
        assert list(token_indices(pair["target"], target, word)) == indices


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if "replace_nonzero" in pair], ids=lambda pair: pair["target"])
def test_replacement_matrix_agrees_with_the_vectors(pair: dict[str, Any], tokenize: Tokenize) -> None:
    matrix = replacement_matrix(pair["source"], pair["target"], tokenize(pair["source"]), tokenize(pair["target"]), 77)
    entries = [[s, t, weight] for s, row in enumerate(matrix) for t, weight in enumerate(row) if weight]
    assert entries == pair["replace_nonzero"]


def test_replacement_needs_prompts_of_equal_length(tokenize: Tokenize) -> None:
    with pytest.raises(WordNotFound, match="source has 3, the target 4") as caught:
        replacement_matrix("a red sofa", "a dark red sofa", tokenize("a red sofa"), tokenize("a dark red sofa"), 77)
    assert caught.value.field == "injection"


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("Red", ["red", "red"]),
        ("red[2]", ["red"]),
        ("red-striped", ["red-striped"]),
        ("red sofa", ["red sofa"]),
        ("sofa", ["sofa"]),
        ("cat's", ["cat's"]),
    ],
)
def test_words_are_found_as_whole_words(spec: str, found: list[str]) -> None:
    prompt = "A red sofa, a red carpet; the cat's red-striped bed."
    assert [prompt[a:b] for a, b in find_word(prompt, spec)] == found


@pytest.mark.parametrize("spec", ["so", "striped", "blue", "red[3]", "", "sofa red", "[1]"])
def test_a_missing_word_is_named(spec: str) -> None:
    prompt = "A red sofa, a red carpet; the cat's red-striped bed."
    with pytest.raises(WordNotFound) as caught:
        find_word(prompt, spec)
    assert repr(spec) in caught.value.message
    assert prompt in caught.value.message
    assert caught.value.field == "words"


def test_occurrences_pick_their_own_tokens(tokenize: Tokenize) -> None:
    prompt = "a red sofa and a red carpet"
    encoded = tokenize(prompt)
    first, second = (token_indices(prompt, encoded, f"red[{n}]") for n in (1, 2))
    assert (*first, *second) == token_indices(prompt, encoded, "red")
    assert first != second


tokens = st.lists(st.integers(0, 5), max_size=20)


@given(tokens, tokens)
def test_alignment_keeps_order_and_matches_equal_tokens(source: list[int], target: list[int]) -> None:
    alignment = align(source, target, 20)
    matched = [(k, n) for n, k in enumerate(alignment.mapper[: len(target)]) if k >= 0]
    assert all(source[k] == target[n] for k, n in matched)
    assert [k for k, _ in matched] == sorted({k for k, _ in matched})
    assert all(a == (k >= 0) for a, k in zip(alignment.alpha, alignment.mapper, strict=True))


@given(tokens)
def test_a_prompt_aligns_with_itself(source: list[int]) -> None:
    alignment = align(source, source, 20)
    assert alignment.mapper == tuple(range(20))
    assert set(alignment.alpha) <= {1.0}


def test_a_target_longer_than_the_positions_cannot_be_aligned() -> None:
    with pytest.raises(ValueError, match="3 tokens"):
        align([1], [1, 2, 3], 2)


@given(st.text(max_size=40))
def test_every_whole_word_is_found_at_its_own_place(prompt: str) -> None:
    for a, b in whole_words(prompt):
        assert (a, b) in find_word(prompt, prompt[a:b])


def read(words: str) -> Encoded:
    """A text encoder that reads each word as one token, between begin and end."""
    spans = whole_words(words)
    numbers = [sum(map(ord, words[a:b])) for a, b in spans]
    return Encoded((1, *numbers, 2), ((0, 0), *spans, (0, 0)))


def both(words: str) -> Encoded:
    """Two of them, with 10 columns each."""
    return Encoded.side_by_side([read(words), read(words)], [10, 10])


def test_a_word_has_the_columns_of_every_text_encoder() -> None:
    prompt = "a red sofa"
    assert token_indices(prompt, both(prompt), "sofa") == (3, 13)
    assert both(prompt).named == (1, 2, 3, 11, 12, 13)


def test_each_text_encoders_tokens_are_aligned_by_themselves() -> None:
    source, target = both("a sofa"), both("a red sofa")
    mapper = align_tokens(source, target, 20).mapper
    own = align(read("a sofa").ids, read("a red sofa").ids, 10).mapper
    assert mapper == (*own, *(k if k < 0 else k + 10 for k in own))


def test_each_text_encoders_words_are_replaced_by_themselves() -> None:
    prompts = ("a red sofa", "a green sofa")
    matrix = replacement_matrix(*prompts, both(prompts[0]), both(prompts[1]), 20)
    own = replacement_matrix(*prompts, read(prompts[0]), read(prompts[1]), 10)
    assert [row[:10] for row in matrix[:10]] == own
    assert [row[10:] for row in matrix[10:]] == own
    assert not any(any(row[10:]) for row in matrix[:10])
