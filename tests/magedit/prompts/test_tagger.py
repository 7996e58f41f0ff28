"""Word classes of prompts' words."""

from __future__ import annotations

import pytest

from magedit.prompts.tagger import base_noun, classes, is_known


@pytest.mark.parametrize(
    ("prompt", "letters"),
    [
        ("a rabbit lying on a windowsill", "DNGIDN"),
        ("a smiling boy holding balloons", "DANGK"),
        ("a man sits on a stone wall", "DNZIDNN"),
        ("two dogs play with a ball", "QKVIDN"),
        ("a kite flies above the wine glasses", "DNZIDNK"),
        ("the bus is yellow", "DNBA"),
        ("an orange on an orange plate", "DNIDAN"),
        ("a scooter parked next to a parked car", "DNPIIDAN"),
        ("a woman's painting of a building", "DSNIDN"),
        ("red dress , holding umbrella , flying cars", "ANUGNUAK"),
        ("a rose in a rainbow-colored vase", "DNIDAN"),
        ("a street without cars", "DNXK"),
        ("a zorblax wearing 3 quux", "DNGQN"),
        ("🐶 on grass", "EIN"),
    ],
)
def test_neighbours_decide_between_a_words_classes(prompt: str, letters: str) -> None:
    assert "".join(classes(prompt.split())) == letters


def test_no_words_have_no_classes() -> None:
    assert classes([]) == []


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("dogs", "dog"),
        ("cherries", "cherry"),
        ("boxes", "box"),
        ("geese", "goose"),
        ("leaves", "leaf"),
        ("glass", "glass"),
        ("rose", "rose"),
        ("zorblaxes", "zorblaxes"),
    ],
)
def test_plurals_have_their_singular(plural: str, singular: str) -> None:
    assert base_noun(plural) == singular


def test_inflected_and_joined_words_are_known() -> None:
    assert is_known("running")
    assert is_known("half-eaten")
    assert not is_known("teppich")
