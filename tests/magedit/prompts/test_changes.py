"""The changes between two prompts."""

from __future__ import annotations

import pytest

from magedit.prompts.changes import changes
from magedit.prompts.phrases import parse


def guided(source: str, target: str) -> list[tuple[str, str]]:
    return [(change.kind, change.words) for change in changes(parse(source), parse(target))]


@pytest.mark.parametrize(
    ("source", "target", "kind", "words"),
    [
        ("a sofa", "a sofa, a plant in an orange pot", "addition", "plant in an orange pot"),
        ("a plant in a red pot", "a plant in a red pot, a plant in a red pot", "addition", "plant in a red pot[2]"),
        ("a lamp and a sofa", "a plant in a clay pot and a sofa", "replacement", "plant in a clay pot"),
        ("a table", "a table with a vase with red roses", "addition", "vase with red roses"),
        ("a street", "a street and a woman wearing a red hat", "addition", "woman wearing a red hat"),
        ("a street", "a street with a man in a black suit", "addition", "man in a black suit"),
        ("a dog in a garden", "a cat with a red collar in a garden", "replacement", "cat with a red collar"),
        ("a beach", "a beach and a bucket of sand", "addition", "bucket of sand"),
        ("a shelf", "a shelf with a basket of eggs with a bow", "addition", "basket of eggs with a bow"),
    ],
)
def test_what_is_said_of_a_new_thing_is_guided_with_it(source: str, target: str, kind: str, words: str) -> None:
    assert guided(source, target) == [(kind, words)]


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        # places
        ("a lake", "a lake with a boat in a harbour", "boat"),
        ("a wall", "a wall and a cat in the red corner", "cat"),
        ("a cliff", "a cliff and a boat in a blue sea", "boat"),
        ("a bench", "a bench and a plant in a clay pot on a table", "plant in a clay pot"),
        # what the source says too
        ("a dog with a collar", "a cat with a collar", "cat"),
        ("a boy in a red coat", "a girl in a red coat", "girl"),
    ],
)
def test_places_and_what_was_there_before_are_not_guided(source: str, target: str, words: str) -> None:
    assert [each for _, each in guided(source, target)] == [words]
