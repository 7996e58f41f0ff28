"""Prompts derived from an instruction, with and without a source prompt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from magedit.demo.instructions import instruction
from magedit.demo.sets import edit_set
from magedit.errors import InstructionNotUnderstood, SeveralFound
from magedit.instructions.rewriting import prompts_of
from magedit.instructions.rules import read


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("make the left sofa blue", "a sofa", "a blue sofa"),
        ("make all pillows striped", "pillows", "striped pillows"),
        ("make the sofa out of wood", "a sofa", "a sofa made of wood"),
        ("replace the cup with an apple", "a cup", "an apple"),
        ("give the dog a hat", "a dog", "a dog with a hat"),
        ("put a cat on the sofa", "a sofa", "a cat on a sofa"),
        ("remove the lamp", "a lamp", "a background"),
        ("add a clock", "a background", "a background with a clock"),
    ],
)
def test_without_a_source_prompt_the_prompts_name_only_the_thing(text: str, source: str, target: str) -> None:
    assert prompts_of(read(text), None) == (source, target)


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("make the sofa dark blue", "A light green sofa, a lamp", "A dark blue sofa, a lamp"),
        ("make the sofa blue", "a striped red sofa", "a striped blue sofa"),
        ("make the sofa striped", "a red sofa", "a striped red sofa"),
        ("make the sofa plaid", "a dotted red sofa", "a plaid red sofa"),
        ("make the bus blue", "an orange bus", "a blue bus"),
        ("make the bus blue", "a bus that is yellow", "a bus that is blue"),
        ("make the carpet pink", "a room with a red carpet", "a room with a pink carpet"),
        ("make the apple tree old", "an apple tree", "an old apple tree"),
        ("make the chair leather", "a wood chair", "a leather chair"),
        ("make the pot red", "a plant in a blue pot", "a plant in a red pot"),
        ("replace the lamp with an orange clock", "a red lamp, a sofa", "an orange clock, a sofa"),
        ("turn the plant in a blue pot into a lamp", "a plant in a blue pot, a sofa", "a lamp, a sofa"),
        ("add a hat to the dog", "a dog on the grass", "a dog with a hat on the grass"),
        ("put a cat on the sofa", "a room with a red sofa", "a room with a cat on a red sofa"),
        ("add a clock", "a room with a sofa.", "a room with a sofa, a clock"),
        ("remove the lamp", "a room with a red lamp, a sofa", "a room with a sofa"),
        ("remove the lamp", "a room with a sofa, a red lamp and a ball", "a room with a sofa and a ball"),
        ("remove the lamp", "a room with a sofa and a red lamp", "a room with a sofa"),
        ("remove the lamp", "a lamp, a sofa", "a sofa"),
        ("remove the lamp", "a room with a lamp on a table", "a room with a table"),
        ("remove the lamp", "a room with a lamp on the left and a sofa", "a room with a sofa"),
        ("remove the plant", "a room with a plant in a red pot, a sofa", "a room with a sofa"),
        ("remove the hat", "a man wearing a hat", "a man"),
    ],
)
def test_the_thing_is_changed_in_the_source_prompt(text: str, source: str, target: str) -> None:
    assert prompts_of(read(text), source) == (source, target)


def test_a_thing_missing_from_the_source_prompt_is_added_to_it() -> None:
    assert prompts_of(read("make the sofa blue"), "a cosy room.") == ("a cosy room, a sofa", "a cosy room, a blue sofa")


def test_sides_and_qualities_distinguish_things_of_the_source_prompt() -> None:
    sides = "a red sofa on the left and a green sofa on the right"
    assert prompts_of(read("make the right sofa blue"), sides)[1] == sides.replace("green", "blue")
    assert prompts_of(read("make the green sofa blue"), sides)[1] == sides.replace("green", "blue")
    with pytest.raises(
        SeveralFound, match="several things in the source prompt match 'sofa': 'a red sofa', 'a green sofa'"
    ) as caught:
        prompts_of(read("make the largest sofa blue"), sides)
    assert caught.value.field == "instruction"
    # alike: whichever is changed in the prompt, the mask says which is meant
    assert prompts_of(read("make the largest sofa blue"), "a sofa and a sofa")[1] == "a blue sofa and a sofa"


def test_the_target_prompt_of_a_removal_stays_within_the_vocabulary() -> None:
    assert prompts_of(read("remove the lamp"), None, {"lamp", "wall", "room", "a"}) == ("a lamp", "a room")


def test_an_instruction_without_a_thing_is_rejected() -> None:
    with pytest.raises(InstructionNotUnderstood, match="names no thing"):
        prompts_of(replace(read("make the sofa blue"), thing="and"), "a room")


def test_the_demos_target_prompts_are_derived_from_their_instructions() -> None:
    """Colours, patterns, parts, replacements, additions and removals match the set's target prompts word for word."""
    plain = [edit for edit in edit_set(12, seed=77) if edit.complexity == "plain"]
    assert len(plain) == 72
    for edit in plain:
        told = instruction(edit)
        assert prompts_of(read(told), edit.source_prompt) == (edit.source_prompt, edit.target_prompt), told
