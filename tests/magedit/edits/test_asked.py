"""Checks of edit requests, field by field."""

from __future__ import annotations

import re
from typing import Any

import pytest

from magedit.config import PRESETS, EditConfig, PresetName, Region
from magedit.edits.asked import AskedEdit, read_asked
from magedit.errors import InvalidParameter

PROMPTS: dict[str, Any] = {"source_prompt": "a", "target_prompt": "b"}


def test_values_become_an_edit() -> None:
    values = {"steps": 10, "equalizer": {"b": 2}, "sweep": [0.5, 1], "words": ["b", "c"], "regions": [{"words": ["b"]}]}
    asked = read_asked(PROMPTS | values)
    assert asked.config == EditConfig(steps=10, equalizer={"b": 2.0}, sweep=(0.5, 1.0))
    assert asked.regions == (Region(words=("b",)),)
    assert asked.words == ("b", "c")
    assert asked.given == {"steps", "equalizer", "sweep"}


def test_missing_fields_take_their_defaults() -> None:
    assert read_asked(PROMPTS) == AskedEdit(**PROMPTS)
    assert read_asked(PROMPTS | {"steps": None}) == AskedEdit(**PROMPTS)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_given_parameters_win_over_the_preset(preset: PresetName) -> None:
    assert read_asked(PROMPTS | {"preset": preset}).config == EditConfig.preset(preset)
    given = {"max_iterations": 5, "inversion": "ddim", "inject_edit_words": False}
    assert read_asked(PROMPTS | {"preset": preset} | given).config == EditConfig.preset(preset, **given)


def test_every_invalid_value_is_named() -> None:
    with pytest.raises(InvalidParameter) as caught:
        read_asked({"target_prompt": "", "steps": 1, "stepz": 5})
    assert caught.value.field == "target_prompt"
    for name in ("`target_prompt`: String should have at least 1", "`steps`: Input should be", "`stepz`: Extra"):
        assert name in caught.value.message


def test_old_and_unknown_names_are_rejected_with_the_current_ones() -> None:
    for values, message in (
        ({"scale": 2}, "`scale`: it is now `guidance_step_size`"),
        ({"regions": [{"words": ["b"]}, {"strength": 1}]}, "region 1 has no key 'strength'; it is now 'weight'"),
        ({"regions": [{"word": ["b"]}]}, "region 0 has no key 'word'; there are: words,"),
    ):
        with pytest.raises(InvalidParameter, match=re.escape(message)):
            read_asked(PROMPTS | values)
