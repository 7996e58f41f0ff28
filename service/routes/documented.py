"""Problem answers for OpenAPI: which error classes a route can answer with, as examples by status."""

from __future__ import annotations

from typing import Any

from jobs.errors import Unavailable
from jobs.schema import Problem
from service.problems import MEDIA_TYPE, Known, problem_of

RETRY_AFTER = {
    "description": "Seconds to wait before asking again.",
    "schema": {"type": "integer", "minimum": 1},
}


def problems(*errors: Known) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that can raise ``errors``; each is an example under its status."""
    responses: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        problem = problem_of(error)
        response = responses.setdefault(
            problem.status, {"description": "", "content": {MEDIA_TYPE: {"schema": SCHEMA, "examples": {}}}}
        )
        response["description"] = "; ".join(filter(None, (response["description"], problem.title)))
        response["content"][MEDIA_TYPE]["examples"][problem.code] = {"value": problem.model_dump(mode="json")}
        if isinstance(error, Unavailable):
            response["headers"] = {"Retry-After": RETRY_AFTER}
    return responses


SCHEMA = {"$ref": f"#/components/schemas/{Problem.__name__}"}
