"""Prompts and words of an edit, held against a model."""

from __future__ import annotations

import pytest

from magedit.config import Region
from magedit.errors import NothingToGuide, PromptNotSupported, PromptTooLong, RegionMismatch, WordNotFound
from magedit.prompts.alignment import Encoded, Tokenize, from_tokenizers
from magedit.prompts.checks import check_prompt, check_words, propose
from tests.magedit.conftest import CHECKPOINT


@pytest.fixture(scope="module")
def tokenize() -> Tokenize:
    return from_tokenizers((CHECKPOINT / "tokenizer" / "tokenizer.json").read_text())


def test_too_long_prompts_are_refused_with_both_lengths(tokenize: Tokenize) -> None:
    with pytest.raises(PromptTooLong, match="79 tokens, the model accepts 75") as caught:
        check_prompt(tokenize, "red " * 75 + "sofa, a lamp", max_tokens=77, field="source_prompt")
    assert caught.value.field == "source_prompt"
    assert "The words 'sofa, a lamp'" in caught.value.message


def test_a_word_is_named_whole_of_which_a_token_is_beyond_the_limit() -> None:
    def letters(prompt: str) -> Encoded:
        spans = [(n, n + 1) for n, sign in enumerate(prompt) if not sign.isspace()]
        return Encoded((0, *map(ord, prompt.replace(" ", "")), 1), ((0, 0), *spans, (0, 0)))

    with pytest.raises(PromptTooLong, match=r"has 8 tokens, the model accepts 4.* words 'cde fgh'"):
        check_prompt(letters, "ab cde fgh", max_tokens=6, field="target_prompt")


def test_words_outside_a_closed_vocabulary_are_named(tokenize: Tokenize) -> None:
    with pytest.raises(PromptNotSupported, match=r"not know: elephant. It knows: a, red, sofa"):
        check_prompt(tokenize, "a Red elephant", max_tokens=77, field="target_prompt", vocabulary={"a", "red", "sofa"})


def test_regions_without_words_get_the_added_phrases() -> None:
    source, target = "a red sofa", "a green sofa"
    regions = check_words(source, target, [Region(), Region(words=("sofa",), weight=0.5)]).regions
    assert regions == (Region(words=("green sofa",)), Region(words=("sofa",), weight=0.5))


def test_guidance_without_any_word_is_an_error() -> None:
    prompts = ("a red sofa", "the red sofa")
    with pytest.raises(NothingToGuide, match="adds no word"):
        check_words(*prompts, [Region()])
    assert check_words(*prompts, [Region()], needs_words=False).regions == (Region(),)


def test_negative_words_are_checked_too() -> None:
    with pytest.raises(WordNotFound, match="'white'"):
        check_words("a sofa", "a red sofa", [Region(negative_words=("white",))])
    regions = [Region(negative_words=("sofa",))]
    assert check_words("a sofa", "a red sofa", regions).regions[0].negative_words == ("sofa",)


def test_a_replaced_word_is_sent_to_the_negative_prompt() -> None:
    with pytest.raises(WordNotFound, match="negative_prompt"):
        check_words("a white sofa", "a red sofa", [Region(negative_words=("white",))])


TWO = ("a red car next to a blue bus", "a green car next to a yellow boat")


def test_several_masks_and_several_changes_are_the_callers_to_pair() -> None:
    with pytest.raises(RegionMismatch) as caught:
        check_words(*TWO, [Region(), Region()])
    assert 'regions=[{"words": ["green car"]}, {"words": ["yellow boat"]}]' in caught.value.message
    assert (
        check_words(*TWO, [Region(), Region()], needs_words=False).regions
        == (Region(words=("green car", "yellow boat")),) * 2
    )


def test_a_region_without_words_gets_the_remaining_phrases() -> None:
    regions = check_words(*TWO, [Region(words=("boat",)), Region()]).regions
    assert regions == (Region(words=("boat",)), Region(words=("green car",)))


def test_one_change_is_every_masks() -> None:
    regions = check_words("a dog", "a cat", [Region(), Region()]).regions
    assert regions == (Region(words=("cat",)),) * 2


@pytest.mark.parametrize(
    ("phrases", "regions", "proposal"),
    [
        (["a", "b"], 2, (("a",), ("b",))),
        (["a", "b", "c"], 2, (("a",), ("b", "c"))),
        (["a", "b"], 3, (("a",), ("b",), ("b",))),
    ],
)
def test_every_region_has_a_phrase_in_the_proposal(
    phrases: list[str], regions: int, proposal: tuple[tuple[str, ...], ...]
) -> None:
    assert propose(phrases, regions) == proposal
