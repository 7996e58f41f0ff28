"""The contract is complete: every answer, header and problem code; and its examples are true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from standardwebhooks.webhooks import Webhook

from service.openapi.__main__ import FILE
from service.openapi.contract import EXAMPLE_SECRET, codes
from service.problems.mapping import FRAMEWORK
from tests.service.conftest import Form, mask, picture

DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
SUBMIT = DOCUMENT["paths"]["/v1/edits"]["post"]


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a reference stands for."""
    while "$ref" in part:
        found: Any = DOCUMENT
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Every example with its schema: of bodies, headers and parameters, webhooks included."""
    told = [("webhook", each["post"]) for each in DOCUMENT["webhooks"].values()]
    for name, operation in [*OPERATIONS, *told]:
        bodies = [(name, operation["requestBody"])] if "requestBody" in operation else []
        bodies += [(f"{name} {status}", answer) for status, answer in operation["responses"].items()]
        for where, body in bodies:
            for kind, content in body.get("content", {}).items():
                # A stream's example is the stream, its schema that of an event.
                if "example" in content and kind != "text/event-stream":
                    yield f"{where} {kind}", content["schema"], content["example"]
                for key, example in content.get("examples", {}).items():
                    yield f"{where} {key}", content["schema"], example["value"]
            for key, header in body.get("headers", {}).items():
                if "example" in resolved(header):
                    yield f"{where} {key}", resolved(header)["schema"], resolved(header)["example"]
        for parameter in operation.get("parameters", ()):
            if "example" in parameter:
                yield f"{name} {parameter['name']}", parameter["schema"], parameter["example"]
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for key, field in schema.get("properties", {}).items():
            for example in field.get("examples", ()):
                yield f"{name}.{key}", field, example


EXAMPLES = list(examples())


def test_examples_match_their_schemas() -> None:
    for name, schema, example in EXAMPLES:
        found = list(OAS31Validator({**schema, "components": DOCUMENT["components"]}).iter_errors(example))
        assert not found, (name, [error.message for error in found])


def test_examples_cover_requests_errors_webhooks_and_headers() -> None:
    names = " ".join(name for name, _, _ in EXAMPLES)
    for part in ("POST /v1/edits 202", "POST /v1/edits 422 mask_empty", "webhook", "RateLimit", "webhook-signature"):
        assert part in names


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_operation_is_documented(name: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation.get("description"), name
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    for parameter in operation.get("parameters", ()):
        assert parameter.get("description"), parameter["name"]
    for status, answer in operation["responses"].items():
        assert answer["description"], status
        assert "X-Request-Id" in answer["headers"]
        if "security" in operation:
            assert ("RateLimit" in answer["headers"]) == (status != "401")
        if status in {"429", "503"}:
            assert "Retry-After" in answer["headers"], status
        if status in {"401", "403"}:
            assert "WWW-Authenticate" in answer["headers"]
        if status != "default" and int(status) >= 400 and status != "422" and "images" not in operation["tags"]:
            assert answer["content"]["application/problem+json"]["examples"], status


def test_every_field_of_a_submission_is_documented() -> None:
    body = resolved(SUBMIT["requestBody"]["content"]["multipart/form-data"]["schema"])
    for name, field in body["properties"].items():
        assert field.get("description"), name


def test_every_code_is_documented_and_examples_use_no_other() -> None:
    told = set(DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["examples"])
    assert told == set(codes())
    assert {"worker_lost", "deadline", "invalid_request"} | {code for code, _ in FRAMEWORK.values()} <= told
    shown = {
        example["code"]
        for _, _, example in EXAMPLES
        if isinstance(example, dict) and {"code", "detail", "status"} <= set(example)
    }
    assert shown <= told


def test_examples_create_an_edit(client: httpx.Client) -> None:
    """What a reader of the contract sends who copies its examples."""
    body = resolved(SUBMIT["requestBody"]["content"]["multipart/form-data"]["schema"])
    data = {name: field["examples"][0] for name, field in body["properties"].items() if field.get("examples")}
    assert {"source_prompt", "target_prompt", "webhook_url"} <= set(data)
    # Instead of the mask that is sent here.
    assert data.pop("mask_shapes")
    # The model of the tests knows few words; the demo's knows those of the examples.
    data |= {"source_prompt": "a room with a green carpet", "target_prompt": "a room with a purple carpet"}
    answer = Form(files=[("image", picture()), ("mask", mask())], data=data).send(client)
    assert answer.status_code == 202, answer.text
    OAS31Validator(
        {**SUBMIT["responses"]["202"]["content"]["application/json"]["schema"], "components": DOCUMENT["components"]}
    ).validate(answer.json())


def test_the_webhooks_example_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = DOCUMENT["webhooks"]["edit.finished"]["post"]
    headers = {each["name"]: str(each["example"]) for each in operation["parameters"]}
    example = operation["requestBody"]["content"]["application/json"]["example"]
    monkeypatch.setattr(Webhook, "_Webhook__verify_timestamp", lambda _, text: _at(text))
    assert Webhook(EXAMPLE_SECRET).verify(json.dumps(example, separators=(",", ":")), headers) == example


def _at(text: str) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(text), UTC)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("404", "not_found"),
        ("404", "no_such_file"),
        ("409", "not_ready"),
        ("409", "not_succeeded"),
        ("410", "object_not_found"),
        ("410", "expired"),
        ("422", "not_together"),
    ],
)
def test_a_submission_documents_errors_of_its_source_edit(status: str, code: str) -> None:
    assert code in SUBMIT["responses"][status]["content"]["application/problem+json"]["examples"]


def test_operations_with_keys_document_a_redis_outage() -> None:
    for name, operation in OPERATIONS:
        if "security" in operation:
            assert "queue_unavailable" in json.dumps(operation["responses"].get("503")), name
