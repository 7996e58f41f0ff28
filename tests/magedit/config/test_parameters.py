"""Bounds on construction, what was given, `help`."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

import magedit
from magedit.config import EditConfig, Region
from magedit.edits.asked import AskedModel
from magedit.errors import InvalidParameter


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "`steps`: Input should be greater than or equal to 2 (given: 0)"),
        ({"steps": 1000}, "`steps`: Input should be less than or equal to 250 (given: 1000)"),
        ({"n": 0}, "`n`: Input should be greater than or equal to 1 (given: 0)"),
        ({"guidance_scale": -3}, "`guidance_scale`: Input should be greater than or equal to 1 (given: -3)"),
        ({"guidance_scale": float("nan")}, "`guidance_scale`: Input should be less than or equal to 30 (given: nan)"),
        ({"strength": 5}, "`strength`: Input should be less than or equal to 1 (given: 5)"),
        ({"sweep": [0.5, 2]}, "`sweep.1`: Input should be less than or equal to 1 (given: 2)"),
        ({"equalizer": {"red": 99}}, "`equalizer.red`: Input should be less than or equal to 10 (given: 99)"),
        (
            {"inversion": "nul-text"},
            "`inversion`: Input should be 'direct', 'ddim', 'null-text', 'negative-prompt', 'proximal', 'style' or "
            "'virtual' (given: 'nul-text')",
        ),
    ],
)
def test_a_value_out_of_bounds_is_refused_where_it_is_made(values: dict[str, Any], message: str) -> None:
    for make in (EditConfig, lambda **given: replace(EditConfig(), **given)):
        with pytest.raises(InvalidParameter) as caught:
            make(**values)
        assert caught.value.message == message
        assert caught.value.field == message.split("`")[1]


@pytest.mark.parametrize("name", [field.name for field in fields(EditConfig)])
def test_every_parameter_has_the_forms_bounds_and_messages(name: str) -> None:
    """Both ends of each number, and a value of no type that any parameter has."""
    for wrong in ("-1e30", "1e30", "\0"):
        value: Any = [wrong] if name == "sweep" else wrong
        form: dict[str, Any] = {"source_prompt": "a", "target_prompt": "b", name: value}
        try:
            AskedModel.model_validate(form)
        except ValidationError as error:
            told = {each["msg"] for each in error.errors()}
        else:
            continue
        with pytest.raises(InvalidParameter) as caught:
            EditConfig(**{name: value})
        assert any(message in caught.value.message for message in told)


def test_words_too_many_for_a_region_are_refused_where_it_is_made() -> None:
    with pytest.raises(InvalidParameter, match="`words`: Tuple should have at most 16 items"):
        Region(words=tuple("abcdefghijklmnopq"))
    with pytest.raises(InvalidParameter, match=r"`words\.0`: String should have at most 100 characters"):
        replace(Region(), words=("a" * 101,))


def test_one_phrase_is_a_tuple_of_one_and_numbers_of_other_kinds_become_the_fields() -> None:
    one: Any = "purple picture"
    several: Any = ["red"]
    assert Region(words=one).words == ("purple picture",)
    assert Region(negative_words=several).negative_words == ("red",)
    numbers: dict[str, Any] = {"steps": np.int64(20), "guidance_scale": np.float32(2.5), "sweep": [0, 1]}
    config = EditConfig(**numbers)
    assert (config.steps, config.guidance_scale, config.sweep) == (20, 2.5, (0.0, 1.0))
    assert type(config.steps) is int


def test_given_parameters_are_recorded_and_copies_have_all_given() -> None:
    config = EditConfig(constraint="token", steps=20)
    every = {field.name for field in fields(EditConfig)}
    assert config.given == {"constraint", "steps"}
    assert EditConfig.preset("fast", n=2).given == {"n", "steps", "max_iterations", "gradient_tolerance"}
    assert EditConfig.preset("exact").given == every
    assert replace(config, n=2).given == every
    adapter = TypeAdapter(EditConfig)
    again = adapter.validate_json(adapter.dump_json(config))
    assert again == config
    assert again.given == every
    for same in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert same == config
        assert same.given == config.given


def test_help_lists_every_parameter_with_default_and_bounds() -> None:
    told = inspect.getdoc(EditConfig.__init__) or ""
    assert "steps (default 50, 2 .. 250): Number of DDIM steps T of inversion and sampling." in told
    assert all(f"\n    {field.name} (default " in told for field in fields(EditConfig))
    assert "Annotated" not in str(inspect.signature(EditConfig)) + str(inspect.signature(EditConfig.__init__))
    assert "strength: float = 1.0" in str(inspect.signature(EditConfig))
    assert set(magedit.__all__) <= set(dir(magedit))


def test_a_closed_copy_leaves_nothing_open() -> None:
    config = EditConfig(steps=9)
    assert config.given == {"steps"}
    closed = config.closed()
    assert closed == config
    assert closed.given == {field.name for field in fields(EditConfig)}
