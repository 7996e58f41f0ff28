"""The contract as generators and Swagger UI read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from service.openapi.__main__ import FILE
from service.openapi.portable import make_portable

DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]


def operations() -> Iterator[dict[str, Any]]:
    for each in DOCUMENT["paths"].values():
        yield from each.values()


def test_operation_ids_are_names() -> None:
    assert {operation["operationId"] for operation in operations()} == {
        *(
            "create_edit",
            "resolve_edit",
            "list_edits",
            "get_edit",
            "cancel_edit",
            "delete_edit",
            "get_events",
            "get_delivery",
            "get_preview",
            "edit_image",
        ),
        *("get_result", "get_numbered_result", "list_artifacts", "get_artifact"),
        *("create_mask", "list_masks", "get_mask", "cancel_mask", "delete_mask", "get_candidate", "get_mask_events"),
        *("list_models", "list_methods", "get_usage", "livez", "readyz", "readyz_workers", "metrics"),
    }


def test_no_parameter_and_no_form_field_is_null_or_of_two_types() -> None:
    parameters = [each["schema"] for operation in operations() for each in operation.get("parameters", ())]
    fields = SCHEMAS["EditForm"]["properties"].values()
    assert len(parameters) > 10
    for schema in (*parameters, *fields):
        assert "anyOf" not in schema, schema
        assert ("type" in schema) != ("$ref" in schema), schema
    (prefer,) = [each for each in DOCUMENT["paths"]["/v1/edits"]["post"]["parameters"] if each["name"] == "Prefer"]
    assert prefer["schema"]["type"] == "string"


def test_each_model_has_one_schema() -> None:
    assert "Region" in SCHEMAS
    titles = [schema["title"] for schema in SCHEMAS.values()]
    assert sorted(titles) == sorted(SCHEMAS), set(titles) ^ set(SCHEMAS)


def test_pictures_are_files() -> None:
    form = SCHEMAS["EditForm"]
    assert form["properties"]["image"]["format"] == form["properties"]["mask"]["items"]["format"] == "binary"


def test_unions_are_unchanged() -> None:
    several = {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}
    document: dict[str, Any] = {
        "components": {"schemas": {}},
        "paths": {"/": {"get": {"parameters": [{"name": "a", "schema": dict(several)}]}}},
    }
    make_portable(document, forms={})
    assert document["paths"]["/"]["get"]["parameters"][0]["schema"] == several
