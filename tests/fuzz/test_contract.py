"""Random requests to every operation of the contract: no fault of the service, no answer that the contract lacks."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.records import Records
from jobs.storage import ObjectStore
from service.openapi import FILE
from tests.fuzz.pictures import BASES
from tests.fuzz.uploads import Server, serving
from tests.service.conftest import WorkerSide

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
PROMPTS = {"source_prompt": "a room with a green carpet", "target_prompt": "a room with a purple carpet"}


def strict() -> dict[str, Any]:
    """The contract without its catch-all: every answer must be declared by its own status."""
    document: dict[str, Any] = copy.deepcopy(json.loads(FILE.read_text()))
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("default", None)
    return document


SCHEMA = schemathesis.openapi.from_dict(strict())


Case = schemathesis.Case[Any]


class Known:
    """Edits in every state, to ask for."""

    def __init__(self, server: Server, client: httpx.Client) -> None:
        redis = connect(server.settings)
        records = Records(redis, server.settings)
        store = ObjectStore.from_settings(server.settings)
        self._worker = WorkerSide(server.settings, records, JobQueue(redis, records), None, store)  # type: ignore[arg-type]
        self._client = client
        succeeded, failed = self.submit(), self.submit()
        self._worker.succeed(self._worker.claim(succeeded))
        self._worker.fail(self._worker.claim(failed))
        canceled = self.submit()
        client.put(f"/v1/edits/{canceled}/cancel")
        self.ended = (succeeded, failed, canceled)
        self._redis = redis

    def submit(self) -> str:
        """A new edit, queued."""
        files = [("image", BASES[0]), ("mask", BASES[4])]
        data = {**PROMPTS, "webhook_url": "https://example.com/"}
        answer = self._client.post("/v1/edits", files=files, data=data)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def edit_for(self, case: Case, number: int) -> str:
        """An edit that this request may have: none that it would remove or wait for, unless it is new."""
        if case.path.endswith("/cancel") or case.method.upper() == "DELETE":
            return self.submit() if number % 2 else self.ended[0]
        return self.ended[number % 3]

    def close(self) -> None:
        """Give back the connections."""
        self._redis.close()


class Target:
    """The service under test."""

    def __init__(self, url: str, known: Known) -> None:
        self.url, self.known, self.number = url, known, 0

    def ask(self, case: Case) -> None:
        """Send a request, every other one with something real in it, and check the answer."""
        self.number += 1
        if self.number % 2:
            self._make_real(case)
        case.call_and_validate(base_url=self.url, checks=CHECKS, timeout=60)

    def _make_real(self, case: Case) -> None:
        if case.path_parameters and "edit_id" in case.path_parameters:
            kept = case.method.upper() != "DELETE" or self.number % 4 == 1
            if kept:
                case.path_parameters["edit_id"] = self.known.edit_for(case, self.number // 2)
        if case.method.upper() == "POST" and isinstance(case.body, dict):
            real: dict[str, Any] = {"image": BASES[0], "mask": [BASES[4]], **PROMPTS}
            case.body |= real
            for name in ("source_edit", "source_result", "regions", "words"):
                case.body.pop(name, None)


@pytest.fixture(scope="module")
def target(redis_session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with (
        serving(redis_session, tmp_path_factory.mktemp("contract"), max_wait_s=0) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client,
    ):
        known = Known(server, client)
        yield Target(str(client.base_url), known)
        known.close()


QUICK = settings(
    max_examples=4, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
THOROUGH = settings(QUICK, max_examples=150)


@SCHEMA.parametrize()
@QUICK
def test_no_answer_is_a_surprise(case: Case, target: Target) -> None:
    target.ask(case)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@SCHEMA.parametrize()
@THOROUGH
def test_no_answer_is_a_surprise_for_long(case: Case, target: Target) -> None:
    target.ask(case)
