"""The OpenAPI document as generators and Swagger UI read it: one schema per model, no null where text is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SCHEMAS = "#/components/schemas/"
_MULTIPART = "multipart/form-data"
_BYTES = "application/octet-stream"


def make_portable(document: dict[str, Any], *, forms: Mapping[str, str]) -> None:
    """Rewrite what pydantic's schemas say correctly, but generators stumble over.

    - A model that is both sent and received has one schema: two of one title overwrite each other.
    - Parameters and form fields are not null: HTTP has no null there, and `anyOf` hides their type.
    - Files are of the format `binary` (OpenAPI 3.0) besides their media type (3.1).
    - The schema of an operation's form has the name in ``forms``, which is by operation id.
    """
    schemas = document["components"]["schemas"]
    for name in [name for name in schemas if name.endswith("-Input")]:
        plain = name.removesuffix("-Input")
        del schemas[name]
        schemas[plain] = schemas.pop(f"{plain}-Output")
        for mode in ("Input", "Output"):
            _rename(document, f"{plain}-{mode}", plain)
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _not_null(parameter["schema"])
            content = operation.get("requestBody", {}).get("content", {})
            if _MULTIPART in content:
                sent = content[_MULTIPART]["schema"]["$ref"].removeprefix(_SCHEMAS)
                form = forms[operation["operationId"]]
                schemas[form] = schemas.pop(sent) | {"title": form}
                _rename(document, sent, form)
                properties = schemas[form]["properties"]
                properties |= {name: _not_null(field) for name, field in properties.items()}
    _mark_files(document)
    document["components"]["schemas"] = dict(sorted(document["components"]["schemas"].items()))


def _rename(part: Any, old: str, new: str) -> None:
    """Let every reference to schema ``old`` name ``new``."""
    if isinstance(part, dict):
        if part.get("$ref") == _SCHEMAS + old:
            part["$ref"] = _SCHEMAS + new
        for each in part.values():
            _rename(each, old, new)
    elif isinstance(part, list):
        for each in part:
            _rename(each, old, new)


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without the alternative null."""
    some = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(some) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**some[0], **rest}


def _mark_files(part: Any) -> None:
    if isinstance(part, dict):
        if part.get("contentMediaType") == _BYTES:
            part["format"] = "binary"
        for each in part.values():
            _mark_files(each)
    elif isinstance(part, list):
        for each in part:
            _mark_files(each)
