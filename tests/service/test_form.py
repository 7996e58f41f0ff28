"""The form is `EditConfig` and `EditRequest`, field by field."""

from __future__ import annotations

import dataclasses

from jobs.settings import Settings
from magedit.config import EditConfig
from service.app import create_app
from service.form import FIELDS


def test_every_parameter_is_a_form_field() -> None:
    assert {field.name for field in dataclasses.fields(EditConfig)} <= FIELDS
    assert {"image", "mask", "mask_mode", "source_prompt", "target_prompt", "words", "regions", "model"} <= FIELDS


def test_bounds_defaults_and_descriptions_come_from_the_dataclass() -> None:
    schemas = create_app(Settings()).openapi()["components"]["schemas"]
    form = next(schema for name, schema in schemas.items() if name.startswith("Body_"))
    assert set(form["properties"]) == FIELDS
    assert set(form["required"]) == {"image", "mask", "source_prompt", "target_prompt"}
    steps = form["properties"]["steps"]
    assert (steps["minimum"], steps["maximum"], steps["default"]) == (2, 250, EditConfig().steps)
    assert "DDIM steps" in steps["description"]
    assert form["properties"]["method"]["enum"] == ["mag-edit", "p2p"]
    assert form["properties"]["equalizer"]["contentMediaType"] == "application/json"
    assert all(each.get("description") for each in form["properties"].values())
