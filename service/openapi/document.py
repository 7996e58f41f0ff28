"""The OpenAPI document of an application, with every error response as a problem document."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from jobs.schema import Problem

_REF = "#/components/schemas/{model}"


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of ``app``, made once, with every problem answer as a problem document."""
    # Here: the routes, which say what they answer, import this module's neighbours.
    from service.openapi.contract import complete
    from service.openapi.portable import make_portable
    from service.openapi.responses import FINISHED, QUEUED, SUCCEEDED

    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version=app.openapi_version,
            description=app.description,
            routes=app.routes,
            webhooks=app.webhooks.routes,
        )
        _name_problems(schema)
        make_portable(
            schema, forms={"create_edit": "EditForm", "edit_image": "ImageEditForm", "create_mask": "MaskForm"}
        )
        complete(schema, FINISHED, (QUEUED, SUCCEEDED))
        app.openapi_schema = schema
    return app.openapi_schema


def _name_problems(schema: dict[str, Any]) -> None:
    """Put the problem document where FastAPI declares its own validation error, and define it."""
    from service.problems.mapping import MEDIA_TYPE

    components = schema.setdefault("components", {}).setdefault("schemas", {})
    for framework in ("HTTPValidationError", "ValidationError"):
        components.pop(framework, None)
    definition = Problem.model_json_schema(mode="serialization", ref_template=_REF)
    components.update(definition.pop("$defs", {}))
    components[Problem.__name__] = definition
    reference = {"schema": {"$ref": _REF.format(model=Problem.__name__)}}
    for told in schema.get("webhooks", {}).values():
        # The framework speaks of its own validation; here the receiver is somebody else.
        told["post"]["responses"].pop("422", None)
    for operations in schema["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            if operation["operationId"] == "edit_image":
                # All of its errors have another shape, which it tells itself.
                responses.pop("422", None)
                responses["default"] = {"description": "Any other error", "content": responses["400"]["content"]}
                continue
            for answer in responses.values():
                if "HTTPValidationError" in json.dumps(answer):
                    answer["description"] = "A parameter is invalid"
                    answer["content"] = {MEDIA_TYPE: reference}
            responses["default"] = {
                "description": "Any other error, as a problem document",
                "content": {MEDIA_TYPE: reference},
            }
