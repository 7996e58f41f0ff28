"""The form is `EditConfig` and `EditRequest`, field by field."""

from __future__ import annotations

import dataclasses
import inspect
import json

import httpx
import pytest
from fastapi.exceptions import RequestValidationError

from jobs.settings import Settings
from magedit.config import PRESETS, EditConfig, PresetName
from magedit.methods.registry import METHODS
from service.app import create_app
from service.edits.form import FIELDS, parse_form, read_form
from service.problems import validation_problem
from tests.service.conftest import Form, assert_problem


def test_every_parameter_is_a_form_field() -> None:
    assert {field.name for field in dataclasses.fields(EditConfig)} <= FIELDS
    assert {"image", "mask", "mask_mode", "source_prompt", "target_prompt", "words", "regions", "model"} <= FIELDS


def test_bounds_defaults_and_descriptions_come_from_the_dataclass() -> None:
    schemas = create_app(Settings()).openapi()["components"]["schemas"]
    form = next(schema for name, schema in schemas.items() if name == "EditForm")
    assert set(form["properties"]) == FIELDS
    assert set(form["required"]) == {"mask", "target_prompt"}
    scale = form["properties"]["guidance_scale"]
    assert (scale["minimum"], scale["maximum"], scale["default"]) == (1, 30, EditConfig().guidance_scale)
    steps = form["properties"]["steps"]
    assert (steps["minimum"], steps["maximum"]) == (2, 250)
    assert "DDIM steps" in steps["description"]
    assert steps["description"].endswith("as `preset` has it (`exact` 50, `balanced` 50, `fast` 20).")
    assert form["properties"]["preset"]["enum"] == list(PRESETS)
    method = form["properties"]["method"]
    assert method["enum"] == list(METHODS)
    assert method["description"].endswith("Empty: `mag-edit`, or what a model without it has in its place.")
    assert form["properties"]["equalizer"]["contentMediaType"] == "application/json"
    sweep = form["properties"]["sweep"]
    assert (sweep["type"], sweep["maxItems"], sweep["items"]["maximum"]) == ("array", 64, 1)
    assert all(each.get("description") for each in form["properties"].values())


def test_a_form_without_http_is_read_alike() -> None:
    data = {
        "source_prompt": "a",
        "target_prompt": "b",
        "steps": "10",
        "equalizer": '{"b": 2}',
        "sweep": ["0.5", "1"],
        "words": ["b", "c"],
        "regions": json.dumps([{"words": ["b"]}]),
    }
    form = parse_form(b"image", [b"first", b"second"], data)
    assert form.image is not None
    assert form.image.file.read() == b"image"
    assert [each.file.read() for each in form.mask] == [b"first", b"second"]
    assert form.config == EditConfig(steps=10, equalizer={"b": 2.0}, sweep=(0.5, 1.0))
    assert form.regions is not None
    assert [region.words for region in form.regions.root] == [("b",)]
    assert (form.words, form.mask_mode, form.output_format, form.artifacts) == (["b", "c"], "white", "png", [])


@pytest.mark.parametrize("preset", list(PRESETS))
def test_what_is_given_wins_over_the_preset(preset: PresetName) -> None:
    data = {"source_prompt": "a", "target_prompt": "b", "preset": preset}
    assert parse_form(b"", [b""], data).config == EditConfig.preset(preset)
    given = {"max_iterations": "5", "inversion": "ddim", "inject_edit_words": "false", "steps": ""}
    assert parse_form(b"", [b""], data | given).config == EditConfig.preset(
        preset, max_iterations=5, inversion="ddim", inject_edit_words=False
    )


def test_a_form_without_http_is_refused_in_the_same_words(client: httpx.Client, form: Form) -> None:
    form.data |= {"target_prompt": "", "steps": "1", "regions": "{", "artifacts": ["losses"], "equalizer": '{"a": 99}'}
    with pytest.raises(RequestValidationError) as caught:
        parse_form(b"", [b""], form.data)
    told = form.send(client).json()
    assert validation_problem(caught.value).model_dump(mode="json") == told


def test_no_default_is_made_by_a_built_in_type() -> None:
    """Its signature is parsed from a text each time that a default is needed."""
    for parameter in inspect.signature(read_form).parameters.values():
        for extra in getattr(parameter.annotation, "__metadata__", ()):
            assert not isinstance(getattr(extra, "default_factory", None), type), parameter.name


@pytest.mark.parametrize(
    ("data", "code", "field", "told"),
    [
        ({"regions": '[{"word": ["purple"]}]'}, "invalid_request", "regions", "region 0 has no key 'word'"),
        (
            {"regions": '[{"strength": 1}]'},
            "invalid_request",
            "regions",
            "region 0 has no key 'strength'; it is now 'weight'",
        ),
        ({"regions": '[{"words": ["purple"], "words": []}]'}, "invalid_request", "regions", "'words' is there 2 times"),
        ({"equalizer": '{"purple": 2, "purple": 3}'}, "invalid_request", "equalizer", "'purple' is there 2 times"),
        ({"compare": ["p2p"], "method": "p2p"}, "not_together", "method", "`compare` names the methods"),
        ({"source_result": "1"}, "invalid_request", "source_result", "`source_edit`, which was not sent"),
        ({"guidence_scale": "7"}, "unknown_field", "guidence_scale", "did you mean 'guidance_scale'?"),
    ],
)
def test_nothing_that_is_sent_is_ignored(
    data: dict[str, str], code: str, field: str, told: str, client: httpx.Client, form: Form
) -> None:
    form.data |= data
    assert told in assert_problem(form.send(client), 422, code, field)["detail"]


def test_regions_of_a_form_without_http_have_known_keys_too() -> None:
    data = {"source_prompt": "a", "target_prompt": "b", "regions": '[{"words": ["b"]}, {"scale": 1}]'}
    with pytest.raises(RequestValidationError) as caught:
        parse_form(b"", [b""], data)
    assert "region 1 has no key 'scale'" in validation_problem(caught.value).detail
