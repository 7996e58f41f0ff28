"""`Prefer: wait`: who waits gets the end, holds nothing up, and can hang up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi import FastAPI

from jobs.settings import Settings
from service.app import create_app
from service.edits.prefer_wait import preferred_wait
from service.edits.watcher import Watch
from tests.conftest import PATIENCE_S, wait_until
from tests.jobs.conftest import open_ids
from tests.service.conftest import Announce, Form, WorkerSide, serving


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (["wait=10"], 10),
        (["respond-async, wait=10"], 10),
        (["respond-async", 'WAIT = "3"; foo=1'], 3),
        (["wait=1, wait=2"], 1),
        (["wait"], None),
        (["wait=-1"], None),
        (["wait=soon"], None),
        ([], None),
    ],
)
def test_prefer_header_is_parsed(values: Sequence[str], seconds: int | None) -> None:
    assert preferred_wait(values) == seconds


LONG = f"wait={2 * PATIENCE_S:g}"


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings.model_copy(update={"max_wait_s": int(2 * PATIENCE_S)}))


@pytest.fixture
def waiter(app: FastAPI, settings: Settings, announce: Announce) -> Iterator[httpx.Client]:
    """A client that waits for as long as it may."""
    announce()
    with serving(settings, app=app) as client:
        client.headers["Prefer"] = LONG
        yield client


def waiting(app: FastAPI) -> int:
    """How many edits are waited for."""
    watch: Watch = app.state.watch
    return watch.watched


def test_response_is_the_finished_edit(waiter: httpx.Client, app: FastAPI, form: Form, worker_side: WorkerSide) -> None:
    def work() -> None:
        wait_until(lambda: waiting(app) == 1)
        (edit_id,) = open_ids(worker_side.records)
        worker_side.succeed(worker_side.claim(edit_id))

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        answer = form.send(waiter)
        done.result()
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert answer.headers["preference-applied"] == LONG
    assert answer.headers["location"] == answer.json()["links"]["self"]
    assert "retry-after" not in answer.headers


def test_a_finished_edit_is_replayed_at_once(waiter: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    waiter.headers.update({"Idempotency-Key": "k", "Prefer": "wait=1"})
    first = form.send(waiter)
    assert (first.status_code, first.json()["state"]) == (202, "queued")
    assert first.headers["preference-applied"] == "wait=1"
    assert int(first.headers["retry-after"]) >= 1
    worker_side.fail(worker_side.claim(first.json()["id"]))
    again = form.send(waiter)
    assert (again.status_code, again.json()["state"], again.json()["id"]) == (200, "failed", first.json()["id"])
    assert again.headers["idempotent-replayed"] == "true"


def test_wait_is_bounded_and_can_be_disabled(settings: Settings, announce: Announce, form: Form) -> None:
    announce()
    for most, applied in ((1, "wait=1"), (0, None)):
        with serving(settings.model_copy(update={"max_wait_s": most})) as client:
            client.headers["Prefer"] = "wait=500"
            answer = form.send(client)
            assert answer.status_code == 202
            assert answer.headers.get("preference-applied") == applied


def test_a_disconnect_ends_the_wait_but_not_the_edit(
    waiter: httpx.Client, app: FastAPI, form: Form, worker_side: WorkerSide
) -> None:
    request = waiter.build_request("POST", "/v1/edits", files=form.files, data=form.data)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection(("127.0.0.1", waiter.base_url.port or 0), PATIENCE_S) as connection:
        connection.sendall(f"POST /v1/edits HTTP/1.1\r\n{head}\r\n".encode() + request.read())
        wait_until(lambda: waiting(app) == 1)
    # Long before the time that it would have waited.
    wait_until(lambda: waiting(app) == 0)
    assert worker_side.queue.waiting("demo") == open_ids(worker_side.records)


def test_many_waiting_requests_block_no_other(
    waiter: httpx.Client, app: FastAPI, form: Form, worker_side: WorkerSide
) -> None:
    # More than the threads of the front end (anyio's 40).
    many = 48
    answers: list[httpx.Response] = []

    def submit() -> None:
        url = f"{waiter.base_url}/v1/edits"
        answers.append(
            httpx.post(url, files=form.files, data=form.data, timeout=2 * PATIENCE_S, headers={"Prefer": LONG})
        )

    threads = [threading.Thread(target=submit) for _ in range(many)]
    for thread in threads:
        thread.start()
    wait_until(lambda: waiting(app) == many)
    assert len(waiter.get("/v1/edits", params={"limit": 100}).json()["edits"]) == many
    for edit_id in open_ids(worker_side.records):
        worker_side.records.request_cancel(edit_id)
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * many
    assert {answer.json()["state"] for answer in answers} == {"canceled"}
