"""The form is `AskedEdit`, `EditConfig` and `JobOptions`, field by field."""

from __future__ import annotations

import dataclasses
import inspect

import httpx
import pytest

from jobs.settings import Settings
from magedit.client import form_data
from magedit.config import PRESETS, EditConfig
from magedit.edits.asked import read_asked
from magedit.edits.resolve import resolve
from magedit.errors import InvalidParameter
from magedit.methods.registry import METHODS
from magedit.prompts.alignment import from_tokenizers
from service.app import create_app
from service.edits.form import FIELDS, read_form
from tests.service.conftest import Form, assert_problem, model_info, tokenizer_json


def test_every_parameter_is_a_form_field() -> None:
    assert {field.name for field in dataclasses.fields(EditConfig)} <= FIELDS
    assert {
        "image",
        "mask",
        "mask_mode",
        "source_prompt",
        "target_prompt",
        "words",
        "regions",
        "model",
    } <= FIELDS


def test_bounds_defaults_and_descriptions_come_from_the_dataclass() -> None:
    schemas = create_app(Settings()).openapi()["components"]["schemas"]
    form = next(schema for name, schema in schemas.items() if name == "EditForm")
    assert set(form["properties"]) == FIELDS
    # An instruction stands for the prompts.
    assert "required" not in form
    scale = form["properties"]["image_guidance_scale"]
    assert (scale["minimum"], scale["maximum"], scale["default"]) == (1, 10, EditConfig().image_guidance_scale)
    steps = form["properties"]["steps"]
    assert (steps["minimum"], steps["maximum"]) == (2, 250)
    assert "DDIM steps" in steps["description"]
    assert steps["description"].endswith("set by `preset` (`exact` 50, `balanced` 50, `fast` 20, `turbo` 8).")
    assert form["properties"]["preset"]["enum"] == list(PRESETS)
    method = form["properties"]["method"]
    assert method["enum"] == list(METHODS)
    assert method["description"].endswith("Empty: `mag-edit`, or the first one that the model supports.")
    assert form["properties"]["equalizer"]["contentMediaType"] == "application/json"
    sweep = form["properties"]["sweep"]
    assert (sweep["type"], sweep["maxItems"], sweep["items"]["maximum"]) == ("array", 64, 1)
    assert all(each.get("description") for each in form["properties"].values())


def test_form_fields_are_parsed_like_values(client: httpx.Client, form: Form) -> None:
    values = {
        "steps": 10,
        "equalizer": {"purple": 2},
        "sweep": [0.5, 1],
        "words": ["purple"],
        "inject_edit_words": True,
    }
    form.data |= form_data(**values) | {"max_iterations": ""}
    told = form.send(client).json()["request"]
    checkpoint = model_info().as_checkpoint(from_tokenizers(tokenizer_json()))
    prompts = {name: form.data[name] for name in ("source_prompt", "target_prompt")}
    edit = resolve(read_asked(prompts | values), checkpoint).edit().model_dump(mode="json")
    assert {name: told[name] for name in edit} == edit


def test_wrong_values_are_refused_in_the_same_words(client: httpx.Client, form: Form) -> None:
    values = {"target_prompt": "x" * 1001, "steps": 1, "equalizer": {"a": 99}}
    form.data |= form_data(**values)
    problem = form.send(client).json()
    with pytest.raises(InvalidParameter) as caught:
        read_asked(values)
    assert problem["code"] == caught.value.code
    assert all(message in caught.value.message for message in problem["detail"].split("; "))
    assert [error["field"] for error in problem["errors"]] == ["target_prompt", "steps", "equalizer.a"]


def test_default_factories_are_functions() -> None:
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
        ({"regions": '[{"words": ["purple"], "words": []}]'}, "invalid_request", "regions", "'words' occurs 2 times"),
        ({"equalizer": '{"purple": 2, "purple": 3}'}, "invalid_request", "equalizer", "'purple' occurs 2 times"),
        ({"compare": ["p2p"], "method": "p2p"}, "not_together", "method", "either `method` or `compare`"),
        ({"source_result": "1"}, "invalid_request", "source_result", "`source_edit`, which was not sent"),
        ({"guidence_scale": "7"}, "unknown_field", "guidence_scale", "did you mean 'guidance_scale'?"),
    ],
)
def test_no_sent_field_is_ignored(
    data: dict[str, str], code: str, field: str, told: str, client: httpx.Client, form: Form
) -> None:
    form.data |= data
    assert told in assert_problem(form.send(client), 422, code, field)["detail"]
