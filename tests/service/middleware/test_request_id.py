from __future__ import annotations

import re

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from jobs.observability.tracing import trace_id_of
from tests.service.conftest import Form, WorkerSide

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
"""A caller's `traceparent`."""


def test_response_carries_its_request_id(client: httpx.Client) -> None:
    own = client.get("/v1/edits", headers={"X-Request-Id": "order-1:2.3_4"})
    assert own.headers["x-request-id"] == "order-1:2.3_4"
    first, second = (client.get("/v1/nothing").headers["x-request-id"] for _ in range(2))
    assert re.fullmatch(r"[0-9a-f]{32}", first)
    assert first != second


@pytest.mark.parametrize("odd", ["", "a b", "a" * 65, 'x"}', "\xff"])
def test_invalid_request_id_is_replaced(odd: str, client: httpx.Client) -> None:
    response = client.get("/livez", headers=[(b"x-request-id", odd.encode("latin-1"))])
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


def test_the_edit_carries_request_and_trace(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    edit_id = form.send(client, {"X-Request-Id": "mine", "traceparent": GIVEN}).json()["id"]
    record = worker_side.records.require(edit_id, "local")
    assert record.request_id == "mine"
    assert trace_id_of(record.traceparent) == trace_id_of(GIVEN)
    other = worker_side.records.require(form.send(client).json()["id"], "local")
    assert other.request_id not in {None, "mine"}
    assert trace_id_of(other.traceparent) not in {None, trace_id_of(GIVEN)}


def test_logs_contain_request_trace_and_job(client: httpx.Client, form: Form) -> None:
    with capture_logs(processors=[merge_contextvars]) as logs:
        edit_id = form.send(client, {"X-Request-Id": "told", "traceparent": GIVEN}).json()["id"]
        client.get("/livez", headers={"X-Request-Id": "told"})
    accepted, answered = (entry for entry in logs if entry.get("request") == "told")
    assert (accepted["event"], accepted["job"]) == ("edit accepted", edit_id)
    assert (answered["event"], answered["status"]) == ("answered", 202)
    assert (answered["method"], answered["path"]) == ("POST", "/v1/edits")
    assert accepted["trace"] == answered["trace"] == trace_id_of(GIVEN)
