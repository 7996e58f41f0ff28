"""Server-sent events of an edit."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from jobs.settings import Settings
from magedit.measures.report import EditWarning
from service.app import create_app
from service.edits.watcher import Watch
from service.routes import events
from tests.conftest import PATIENCE_S, wait_until
from tests.service.conftest import Announce, Form, WorkerSide, assert_problem, picture, serving


class Event(NamedTuple):
    name: str
    id: int
    data: Any


def parse(lines: Iterator[str]) -> Iterator[Event | str]:
    """The events and comments of a stream."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line == "" and fields:
            yield Event(fields["event"], int(fields.get("id", -1)), json.loads(fields["data"]))
            fields = {}
        elif name == "":
            yield value
        elif line:
            assert name not in fields
            fields[name] = value


def follow(client: httpx.Client, edit_id: str, last: int | None = None) -> Iterator[Event | str]:
    """The stream of an edit, from where ``last`` was heard."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    with client.stream("GET", f"/v1/edits/{edit_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "no-cache" in response.headers["cache-control"]
        yield from parse(response.iter_lines())


def heard(stream: Iterator[Event | str]) -> Event:
    """The next event."""
    event = next(stream)
    assert isinstance(event, Event)
    return event


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def own(app: FastAPI, settings: Settings, announce: Announce) -> Iterator[httpx.Client]:
    """A client of a front end that can be looked into."""
    announce()
    with serving(settings, app=app) as client:
        yield client


def test_events_follow_the_edit_lifecycle(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    edit = form.send(client).json()
    assert edit["links"]["events"] == f"/v1/edits/{edit['id']}/events"
    stream = follow(client, edit["id"])
    queued = heard(stream)
    assert (queued.name, queued.data["state"], queued.data["queue_position"]) == ("state", "queued", 0)
    claim = worker_side.claim(edit["id"])
    running = heard(stream)
    assert (running.name, running.data["state"]) == ("state", "running")
    worker_side.progress(claim, 0.5)
    half = heard(stream)
    assert half.name == "progress"
    assert half.data["progress"]["fraction"] == 0.5
    assert set(half.data) == {"id", "state", "progress", "eta_s", "attempt"}
    client.put(f"/v1/edits/{edit['id']}/cancel")
    asked = heard(stream)
    assert (asked.name, asked.data["state"], asked.data["cancel_requested"]) == ("state", "running", True)
    worker_side.records.commit_canceled(claim)
    done = heard(stream)
    assert done.data == client.get(f"/v1/edits/{edit['id']}").json()
    assert done.data["state"] == "canceled"
    assert list(stream) == []
    ids = [each.id for each in (queued, running, half, asked, done)]
    assert ids == sorted(set(ids))


def test_a_new_warning_is_published_at_once(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    edit = form.send(client).json()
    claim = worker_side.claim(edit["id"])
    stream = follow(client, edit["id"])
    assert heard(stream).data["warnings"] == []
    worker_side.progress(claim, 0.5)
    assert heard(stream).name == "progress"
    warning = EditWarning(code="likely_to_fail", message="the words hold little attention")
    worker_side.records.renew(claim, None, warnings=(warning,))
    told = heard(stream)
    assert (told.name, [each["code"] for each in told.data["warnings"]]) == ("state", ["likely_to_fail"])
    worker_side.fail(claim)
    assert heard(stream).data["state"] == "failed"


def test_a_reconnecting_client_gets_missed_events(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    edit_id = form.send(client).json()["id"]
    stream = follow(client, edit_id)
    queued = heard(stream)
    stream.close()  # type: ignore[attr-defined]
    claim = worker_side.claim(edit_id)
    worker_side.progress(claim, 0.5)
    stream = follow(client, edit_id, queued.id)
    half = heard(stream)
    assert (half.name, half.data["state"], half.data["progress"]["fraction"]) == ("state", "running", 0.5)
    stream.close()  # type: ignore[attr-defined]
    worker_side.succeed(claim)
    (done,) = follow(client, edit_id, half.id)
    assert isinstance(done, Event)
    assert (done.name, done.data["state"]) == ("state", "succeeded")
    # Nothing more can come.
    response = client.get(f"/v1/edits/{edit_id}/events", headers={"Last-Event-ID": str(done.id)})
    assert (response.status_code, response.content) == (204, b"")
    for invented in (done.id + 1, "x", "-1", "9" * 30):
        (again,) = follow(client, edit_id, invented)  # type: ignore[arg-type]
        assert again == done


def test_deleting_the_edit_ends_the_stream(client: httpx.Client, form: Form) -> None:
    edit_id = form.send(client).json()["id"]
    stream = follow(client, edit_id)
    heard(stream)
    client.delete(f"/v1/edits/{edit_id}")
    assert [event.name for event in stream if isinstance(event, Event)] == ["deleted"]
    assert_problem(client.get(f"/v1/edits/{edit_id}/events"), 404, "not_found")


def test_idle_stream_sends_comments(client: httpx.Client, form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.3)
    stream = follow(client, form.send(client).json()["id"])
    heard(stream)
    assert isinstance(next(stream), str)
    assert isinstance(next(stream), str)
    stream.close()  # type: ignore[attr-defined]


def test_disconnected_listener_is_removed(own: httpx.Client, app: FastAPI, form: Form) -> None:
    watch: Watch = app.state.watch
    streams = [follow(own, form.send(own).json()["id"]) for _ in range(3)]
    for stream in streams:
        heard(stream)
    assert watch.watched == 3
    for stream in streams:
        stream.close()  # type: ignore[attr-defined]
    wait_until(lambda: watch.watched == 0)


def test_listeners_may_outnumber_threads(own: httpx.Client, app: FastAPI, form: Form, worker_side: WorkerSide) -> None:
    many = 48
    watch: Watch = app.state.watch
    edit_id = form.send(own).json()["id"]
    with ThreadPoolExecutor(many) as pool, httpx.Client(
        base_url=own.base_url, timeout=PATIENCE_S, limits=httpx.Limits(max_connections=many)
    ) as client:  # fmt: skip
        ends = [pool.submit(lambda: list(follow(client, edit_id))) for _ in range(many)]
        wait_until(lambda: sum(watch._watchers.values()) == many)
        assert own.get(f"/v1/edits/{edit_id}").status_code == 200
        worker_side.records.request_cancel(edit_id)
        states = [[event.data["state"] for event in end.result() if isinstance(event, Event)] for end in ends]
    assert states == [["queued", "canceled"]] * many


def test_previews_are_sent_on_request(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    edit = form.send(client).json()
    claim = worker_side.claim(edit["id"])
    worker_side.show(claim, 3)

    def ends(previews: str) -> list[Event]:
        """The events until the end of the edit, which is made to come once its present state was heard."""
        names = []
        with client.stream("GET", f"/v1/edits/{edit['id']}/events{previews}") as response:
            for event in parse(response.iter_lines()):
                assert isinstance(event, Event)
                names.append(event)
                if event.name == "preview" and event.data["step"] == 3:
                    worker_side.show(claim, 4)
                elif event.name == "preview":
                    worker_side.succeed(claim)
        return names

    heard = ends("?previews=true")
    shown = [event for event in heard if event.name == "preview"]
    assert [event.data["step"] for event in shown] == [3, 4]
    assert all(event.id == -1 for event in shown)
    assert shown[0].data == {
        "id": edit["id"],
        "result": 0,
        "step": 3,
        "steps": 10,
        "content_type": "image/jpeg",
        "image": base64.b64encode(picture((8, 8))).decode(),
    }
    assert heard[-1].data["state"] == "succeeded"
    assert not [event for event in ends("") if event.name == "preview"]
