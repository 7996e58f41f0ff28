"""Additions to the generated OpenAPI document: response headers, problem codes, the webhook's request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jobs.records.outcomes import ENDED_BY_REDIS
from jobs.schema import JobRecord
from jobs.webhooks.message import event_of, message_id, signed_headers
from service.edits.views import Edit
from service.middleware.request_id import HEADER as REQUEST_ID
from service.problems.mapping import FRAMEWORK, INVALID_REQUEST, KINDS

TAGS = {
    "edits": "Submit, follow and cancel edits.",
    "results": "Their pictures.",
    "images": "Edits in the format of OpenAI's images API.",
    "masks": "Masks found in a picture by points, a box or words.",
    "webhooks": "Notifications of finished edits and masks.",
    "models": "Models, methods and parameters.",
    "usage": "Usage and remaining quota.",
    "health": "For load balancers and monitoring.",
}

_ALWAYS = {
    REQUEST_ID: {
        "description": "The request's id: the one sent, if it has 1 to 64 letters, digits and `._:-`, otherwise a "
        "generated one. Logs include it.",
        "schema": {"type": "string"},
        "example": "8f14e45fceea167a5a36dedd4bea2543",
    }
}
_RATES = {
    "RateLimit-Policy": {
        "description": "A tenant's rates: `q` in `w` seconds (draft-ietf-httpapi-ratelimit-headers-10). Absent "
        "without rates.",
        "schema": {"type": "string"},
        "example": '"requests";q=1200;w=60',
    },
    "RateLimit": {
        "description": "The remainder of each rate: `r`, fully reset in `t` seconds. Absent likewise.",
        "schema": {"type": "string"},
        "example": '"requests";r=1199;t=1',
    },
}
# Responses sent before a rate is counted.
_UNCOUNTED = frozenset({"401"})


def codes() -> dict[str, int]:
    """Every problem code with its status, in the order of the codes."""
    found = {str(cls.code): int(kind.status) for cls, kind in KINDS.items()}  # type: ignore[attr-defined]
    found |= {code: status for status, (code, _) in FRAMEWORK.items()} | {INVALID_REQUEST: 422}
    found |= {problem.code: problem.status for problem in ENDED_BY_REDIS}
    return dict(sorted(found.items()))


def complete(document: dict[str, Any], finished: JobRecord, shown: Sequence[Edit]) -> None:
    """Complete an OpenAPI document with parts that no route declares.

    ``finished`` is an edit for the webhook's example; ``shown`` are the edits of the other examples, from which the
    framework removed the nulls.
    """
    whole = {edit.state.value: edit.model_dump(mode="json") for edit in shown}
    document["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    document["components"]["headers"] = _ALWAYS | _RATES
    for operation in _operations(document["paths"]):
        for status, response in operation["responses"].items():
            named = set(_ALWAYS)
            if "security" in operation and status not in _UNCOUNTED:
                named |= set(_RATES)
            headers = response.setdefault("headers", {})
            headers |= {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(named)}
            for content in response.get("content", {}).values():
                if isinstance(content.get("example"), dict):
                    content["example"] = whole[content["example"]["state"]]
            if status == "304":
                headers["ETag"] = {"description": "The tag from the request.", "schema": {"type": "string"}}
    code = document["components"]["schemas"]["Problem"]["properties"]["code"]
    table = "\n".join(f"| `{name}` | {status} |" for name, status in codes().items())
    code["description"] = (
        f"Stable. More codes may be added; handle an unknown one by its status.\n\n| code | status "
        f"|\n|---|---|\n{table}"
    )
    code["examples"] = list(codes())
    _show_webhook(document["webhooks"]["edit.finished"]["post"], finished)


def _show_webhook(operation: dict[str, Any], finished: JobRecord) -> None:
    """A delivery with its true signature."""
    event = event_of(finished)
    body = event.model_dump_json().encode()
    signed = signed_headers((EXAMPLE_SECRET,), message_id(finished.id), int(event.timestamp.timestamp()), body)
    operation["requestBody"]["content"]["application/json"]["example"] = event.model_dump(mode="json")
    for parameter in operation["parameters"]:
        value = signed[parameter["name"]]
        parameter["example"] = int(value) if parameter["schema"]["type"] == "integer" else value


EXAMPLE_SECRET = "whsec_" + "bWFnZWRpdC1leGFtcGxlLXNlY3JldC1vZi0zMi1ieXQ="
"""Secret that signs the webhook's example in the document."""


def _operations(paths: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for operations in paths.values():
        yield from operations.values()
