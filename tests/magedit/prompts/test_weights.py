"""Weights of the web UI's syntax."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magedit.errors import PromptNotSupported
from magedit.prompts.alignment import find_word
from magedit.prompts.weights import read_weights


@pytest.mark.parametrize(
    ("text", "prompt", "equalizer"),
    [
        ("a red sofa", "a red sofa", {}),
        ("a (red:1.3) sofa", "a red sofa", {"red": 1.3}),
        ("a ((red)) sofa, [lamp]", "a red sofa, lamp", {"red": 1.21, "lamp": 0.9091}),
        ("a (red (big:1.2) sofa)", "a red big sofa", {"red": 1.1, "big": 1.32, "sofa": 1.1}),
        ("(old, very red:1.2) cat", "old, very red cat", {"old": 1.2, "very red": 1.2}),
        ("(hair: blonde:1.4), at 12:30", "hair: blonde, at 12:30", {"hair": 1.4, "blonde": 1.4}),
        (r"a cat \(tabby\)", "a cat (tabby)", {}),
        (r"a \[very\] (big:.5) cat", "a [very] big cat", {"big": 0.5}),
        ("a red lamp, a (red:1.2) sofa", "a red lamp, a red sofa", {"red[2]": 1.2}),
        ("(🐱:1.5) on a sofa", "🐱 on a sofa", {"🐱": 1.5}),
        ("( :1.2)", " ", {}),
    ],
)
def test_weights_become_factors_of_their_words(text: str, prompt: str, equalizer: dict[str, float]) -> None:
    assert read_weights(text, field="target_prompt") == (prompt, equalizer)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a (red sofa", "'(' at character 3"),
        ("a red) sofa", "')' at character 6"),
        ("a (red] sofa", "']' at character 7"),
        ("[cat:dog:0.5] on a sofa", "'[cat:dog:0.5] on a sofa'"),
        ("a [cat|dog]", "'[cat|dog]'"),
        ("<lora:style:1> a cat", "'<lora:style:1>'"),
        ("a cat BREAK a dog", "'BREAK'"),
    ],
)
def test_an_invalid_weight_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(PromptNotSupported) as caught:
        read_weights(text, field="source_prompt")
    assert named in caught.value.message
    assert caught.value.field == "source_prompt"


@given(st.text(alphabet="ab ()[]:.1,\\'é🐶", max_size=40))
def test_every_text_is_read_or_refused(text: str) -> None:
    try:
        prompt, equalizer = read_weights(text, field="target_prompt")
    except PromptNotSupported:
        return
    for word in equalizer:
        assert find_word(prompt, word)
