"""What both clients make of a stream of events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent

from magedit.client import Client, ServiceError
from magedit.client.calls import BACKOFF_S
from magedit.client.events import SILENCE_S, Refused, after, opening, pause_before_reopening
from magedit.client.models import Edit
from tests.magedit.client.test_calls import answer
from tests.magedit.client.test_models import ANSWER
from tests.service.conftest import Form, WorkerSide

EDIT = Edit.model_validate(ANSWER)
HALF: dict[str, Any] = {"stage": "edit", "step": 5, "steps": 10, "fraction": 0.5}


@pytest.mark.parametrize("seen", ["", "7"])
def test_a_stream_is_opened_where_it_was_left(seen: str) -> None:
    path, headers, timeout = opening("abc", seen, httpx.Timeout(60.0, connect=3.0))
    assert path == "/v1/edits/abc/events"
    assert headers == ({"Last-Event-ID": "7"} if seen else {})
    # A service that is silent between two events is not gone, however impatient the client's other calls are.
    assert (timeout.connect, timeout.read) == (3.0, SILENCE_S)


def test_a_broken_stream_is_retried_then_raised() -> None:
    lost, full = httpx.ReadError("lost"), Refused(answer(503, "queue_unavailable"))
    for error in (lost, full):
        assert BACKOFF_S <= pause_before_reopening(1, 3, error) <= 2 * BACKOFF_S
    with pytest.raises(httpx.ReadError, match="lost"):
        pause_before_reopening(4, 3, lost)
    with pytest.raises(ServiceError) as refused:
        pause_before_reopening(4, 3, full)
    assert refused.value.problem.code == "queue_unavailable"


def test_a_refusal_for_good_is_raised_at_once() -> None:
    with pytest.raises(ServiceError) as refused:
        pause_before_reopening(1, 3, Refused(answer(404, "not_found")))
    assert refused.value.problem.code == "not_found"


def test_a_refused_stream_with_a_success_status_raises() -> None:
    with pytest.raises(Refused):
        pause_before_reopening(1, 3, Refused(httpx.Response(200)))


def test_a_state_is_the_whole_edit() -> None:
    told = EDIT.model_copy(update={"state": "running", "queue_position": None})
    assert after(EDIT, ServerSentEvent("state", told.model_dump_json(), "2")) == told


def progress(**changes: Any) -> ServerSentEvent:
    news = {"id": EDIT.id, "state": "running", "progress": HALF, "eta_s": 12.5, "attempt": 2}
    return ServerSentEvent("progress", json.dumps(news | changes), "3")


def test_progress_events_change_only_their_fields() -> None:
    newer = after(EDIT, progress())
    assert newer.progress is not None
    assert (newer.state, newer.progress.fraction, newer.eta_s, newer.attempt) == ("running", 0.5, 12.5, 2)
    told = {"state", "progress", "eta_s", "attempt"}
    assert newer.model_dump(exclude=told) == EDIT.model_dump(exclude=told)


def test_progress_may_be_back_at_nothing() -> None:
    began = after(EDIT, progress())
    lost = after(began, progress(state="queued", progress=None, eta_s=None))
    assert (lost.state, lost.progress, lost.eta_s) == ("queued", None, None)


@pytest.mark.parametrize("kind", ["open", "deleted", "of a later service"])
def test_other_events_change_nothing(kind: str) -> None:
    assert after(EDIT, ServerSentEvent(kind, id="4")) is EDIT


def events(client: httpx.Client, edit_id: str) -> Iterator[ServerSentEvent]:
    """The events of an edit's stream as the front end sends them; comments come as events of no kind."""
    path, headers, timeout = opening(edit_id, "", client.timeout)
    with client.stream("GET", path, headers=headers, timeout=timeout) as response:
        yield from (event for event in EventSource(response).iter_sse() if event.event != "message")


def test_the_edit_after_the_events_of_the_front_end_is_the_edit(
    client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    with Client(str(client.base_url)) as service:
        edit = service.get(form.send(client).json()["id"])
        kinds = []
        for event in events(client, edit.id):
            kinds.append(event.event)
            edit = after(edit, event)
            if len(kinds) == 1:
                claim = worker_side.claim(edit.id)
            elif len(kinds) == 2:
                worker_side.progress(claim, 0.5)
            elif not edit.finished:
                assert edit.progress is not None
                assert edit.progress.fraction == 0.5
                worker_side.succeed(claim)
        assert kinds == ["state", "state", "progress", "state"]
        assert edit == service.get(edit.id)
