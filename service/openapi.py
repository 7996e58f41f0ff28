"""The contract: `python -m service.openapi write|check` writes openapi/openapi.json or holds it against the code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from jobs.schema import Problem

FILE = Path(__file__).parent.parent / "openapi" / "openapi.json"

_REF = "#/components/schemas/{model}"


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of ``app``, made once, with every problem answer as a problem document."""
    # Here: the routes, which say what they answer, import this module's neighbours.
    from service.contract import complete
    from service.routes.documented import FINISHED, QUEUED, SUCCEEDED

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
        complete(schema, FINISHED, (QUEUED, SUCCEEDED))
        app.openapi_schema = schema
    return app.openapi_schema


def _name_problems(schema: dict[str, Any]) -> None:
    """Put the problem document where FastAPI declares its own validation error, and define it."""
    from service.problems import MEDIA_TYPE

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
            for answer in responses.values():
                if "HTTPValidationError" in json.dumps(answer):
                    answer["description"] = "A parameter is invalid"
                    answer["content"] = {MEDIA_TYPE: reference}
            responses["default"] = {
                "description": "Any other error, as a problem document",
                "content": {MEDIA_TYPE: reference},
            }


def rendered() -> str:
    """The document of the application with default settings, as the file holds it."""
    from jobs.settings import Settings
    from service.app import create_app

    return json.dumps(create_app(Settings()).openapi(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """``write`` the file, or ``check`` that it is what the code says (exit status 1 if not)."""
    if arguments == ["write"]:
        FILE.write_text(rendered())
        return 0
    if arguments == ["check"]:
        if FILE.exists() and FILE.read_text() == rendered():
            return 0
        sys.stderr.write(f"{FILE} is not what the code says: run `python -m service.openapi write`\n")
        return 1
    sys.stderr.write("usage: python -m service.openapi write|check\n")
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
