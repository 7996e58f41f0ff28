"""Random requests to every operation of the contract: no fault of the service, no answer that the contract lacks."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from jobs.records.store import Records
from jobs.storage import ObjectStore
from jobs.tenants.api_keys import SCOPES, ApiKeys
from jobs.tenants.limits import Limits
from service.openapi.__main__ import FILE
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

    def __init__(self, server: Server, client: httpx.Client, tenant: str = "local") -> None:
        redis = connect(server.settings)
        self._tenant = tenant
        records = Records(redis, server.settings)
        store = ObjectStore.from_settings(server.settings)
        self._worker = WorkerSide(server.settings, records, JobQueue(redis, records), None, store)  # type: ignore[arg-type]
        self._client = client
        succeeded, failed = self.submit(), self.submit()
        self._worker.succeed(self._worker.claim(succeeded, tenant))
        self._worker.fail(self._worker.claim(failed, tenant))
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

    def source_for(self, number: int) -> dict[str, Any]:
        """The picture of a new edit, as it is sent: a file, or the result of an edit in any state, or of none."""
        asked = number % 6
        if asked == 0:
            return {"source_edit": self.ended[0]}
        if asked == 1:
            return {"source_edit": self.ended[0], "source_result": 1}
        if asked == 2:
            return {"source_edit": self.ended[number // 6 % 3]}
        if asked == 3:
            return {"source_edit": "0" * 32}
        if asked == 4:
            return {"source_edit": self.submit()}
        return {"image": BASES[0]}

    def close(self) -> None:
        """Give back the connections."""
        self._redis.close()


@dataclass
class Target:
    """The service under test, and what it answered."""

    url: str
    known: Known
    number: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    def ask(self, case: Case, headers: dict[str, str] | None = None) -> httpx.Headers:
        """Send a request, every other one with something real in it, and check the answer; its headers."""
        self.number += 1
        if self.number % 2:
            self._make_real(case)
        answer = case.call_and_validate(base_url=self.url, headers=headers, checks=CHECKS, timeout=60)
        told = httpx.Headers({name: ", ".join(values) for name, values in answer.headers.items()})
        body = answer.json() if answer.status_code >= 400 else {}
        code = body.get("error", body).get("code", "")
        self.answers[f"{case.method.upper()} {case.path} {answer.status_code} {code}".rstrip()] += 1
        return told

    def _make_real(self, case: Case) -> None:
        if case.path_parameters and "edit_id" in case.path_parameters:
            kept = case.method.upper() != "DELETE" or self.number % 4 == 1
            if kept:
                case.path_parameters["edit_id"] = self.known.edit_for(case, self.number // 2)
        if (
            case.method.upper() == "POST"
            and case.path in {"/v1/edits", "/v1/images/edits"}
            and isinstance(case.body, dict)
        ):
            if self.number % 4 == 1:
                # Nothing else that could be refused.
                case.body = {}
            # Most of what comes to mind there is refused for its form.
            case.headers.pop("Idempotency-Key", None)
            for name in ("image", "source_edit", "source_result", "regions", "words"):
                case.body.pop(name, None)
            real: dict[str, Any] = {"mask": [BASES[4]], **PROMPTS, **self.known.source_for(self.number // 4)}
            case.body |= real


@pytest.fixture(scope="module")
def target(redis_session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with (
        serving(redis_session, tmp_path_factory.mktemp("contract"), max_wait_s=0, images_wait_s=0) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client,
    ):
        known = Known(server, client)
        yield Target(str(client.base_url), known)
        known.close()


class Keys:
    """Who asks a service that wants keys: each call another one of these."""

    def __init__(self, keys: ApiKeys) -> None:
        def key(*scopes: Any, **limits: int) -> str:
            return keys.create("acme", scopes or SCOPES, limits=Limits(**limits))[1]

        self.whole = key()
        # An odd number of them, so that each comes with real requests and others.
        self.tokens: tuple[str | None, ...] = (
            self.whole,
            None,
            "mge_" + "0" * 16 + "_" + "0" * 64,
            key("edits:read"),
            # Of one tenant, as the rates count by it: 402, and 429 of an edit that is accepted.
            key(unet_passes_per_month=1),
            key(unfinished=1),
            keys.create("hasty", SCOPES, limits=Limits(requests_per_minute=20, submits_per_minute=1))[1],
        )

    def headers(self, number: int) -> dict[str, str]:
        """What call ``number`` sends."""
        token = self.tokens[number % len(self.tokens)]
        return {} if token is None else {"Authorization": f"Bearer {token}"}


@dataclass
class LockedTarget(Target):
    """The service, asking for keys."""

    keys: Keys = field(kw_only=True)

    def ask_with_a_key(self, case: Case) -> None:
        """Send a request with the next key, or none, and look at the answer, its rates too."""
        for name in [name for name in case.headers or () if name.lower() == "authorization"]:
            del case.headers[name]
        sent = self.keys.headers(self.number)
        # The rates of the service's own default are those of a key without.
        told = self.ask(case, sent)
        if case.path.startswith("/v1") and sent and "www-authenticate" not in told:
            assert told["ratelimit"].startswith('"requests";r=')
            assert told["ratelimit-policy"].startswith('"requests";q=')


@pytest.fixture(scope="module")
def locked_target(redis_session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LockedTarget]:
    changes = {
        "max_wait_s": 0,
        "images_wait_s": 0,
        "auth": "keys",
        "requests_per_minute": 10**6,
        "submits_per_minute": 10**6,
    }
    with serving(redis_session, tmp_path_factory.mktemp("locked"), **changes, unfinished_limit=0) as server:
        with connect(server.settings) as redis:
            keys = Keys(ApiKeys(redis))
        url = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {keys.whole}"}, timeout=60) as client:
            known = Known(server, client, "acme")
            yield LockedTarget(url, known, keys=keys)
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


@SCHEMA.parametrize()
@settings(QUICK, max_examples=8)
def test_no_answer_is_a_surprise_where_keys_are_asked_for(case: Case, locked_target: LockedTarget) -> None:
    locked_target.ask_with_a_key(case)


def test_every_refusal_of_a_key_was_met(locked_target: LockedTarget) -> None:
    """Goes on from the one before: what was asked for was answered in all these ways."""
    statuses = {answer.split(" ")[2] for answer in locked_target.answers}
    assert statuses >= {"202", "401", "402", "403", "429"}, locked_target.answers
    opened = httpx.get(f"{locked_target.url}/v1/edits", headers={"Authorization": f"Bearer {locked_target.keys.whole}"})
    assert opened.status_code == 200


@pytest.mark.slow
@pytest.mark.timeout(3600)
@SCHEMA.parametrize()
@THOROUGH
def test_no_answer_is_a_surprise_where_keys_are_asked_for_for_long(case: Case, locked_target: LockedTarget) -> None:
    locked_target.ask_with_a_key(case)
