"""Parsed instructions."""

from __future__ import annotations

import pytest

from magedit.errors import InstructionNotUnderstood, SeveralFound
from magedit.instructions.reading import read_by_rules


def test_an_instruction_gives_phrase_and_prompts() -> None:
    found = read_by_rules("make the left sofa blue", None)
    assert (found.phrase, found.source_prompt, found.target_prompt) == ("left sofa", "a sofa", "a blue sofa")
    assert (found.read_by, found.warning) == ("rules", None)


def test_the_phrase_becomes_the_mask_shape() -> None:
    assert read_by_rules("remove the left red sofa", "a red sofa and a lamp").shape.words == "left red sofa"


def test_errors_of_grammar_and_of_the_prompt_are_passed_on() -> None:
    with pytest.raises(InstructionNotUnderstood):
        read_by_rules("blue sofa", None)
    with pytest.raises(SeveralFound):
        read_by_rules("make the sofa blue", "a red sofa beside a green sofa")
