"""Both clients where answers fail, are refused for the moment, or are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import httpx
import pytest

from magedit.client import AsyncClient, Client, Edit, ServiceError
from service.openapi.responses import QUEUED, SUCCEEDED

Answer = httpx.Response | Exception
Ask = Callable[[httpx.Request], Answer]


def problem(status: int, code: str) -> httpx.Response:
    """A problem document."""
    body = {"type": f"urn:magedit:problem:{code}", "title": code, "status": status, "detail": "", "code": code}
    return httpx.Response(status, json={**body, "errors": []}, headers={"content-type": "application/problem+json"})


class Scripted:
    """Either client on a service that answers as ``ask`` says; the pauses that it makes, in seconds."""

    def __init__(self, kind: str, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind, self.pauses = kind, list[float]()

        def handler(request: httpx.Request) -> httpx.Response:
            answer = ask(request)
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)

        monkeypatch.setattr("magedit.client.sync.time", SimpleNamespace(sleep=self.pauses.append))
        monkeypatch.setattr("magedit.client.aio.asyncio", SimpleNamespace(sleep=pause))
        self._transport = httpx.MockTransport(handler)

    def stream(self) -> list[Edit]:
        """What following the edit gives."""
        if self.kind == "sync":
            with self._sync() as client:
                return list(client.stream(QUEUED.id))

        async def follow() -> list[Edit]:
            async with self._async() as client:
                return [edit async for edit in client.stream(QUEUED.id)]

        return asyncio.run(follow())

    def delete(self) -> None:
        """Remove the edit."""
        if self.kind == "sync":
            with self._sync() as client:
                client.delete(QUEUED.id)
            return

        async def remove() -> None:
            async with self._async() as client:
                await client.delete(QUEUED.id)

        asyncio.run(remove())

    def _sync(self) -> Client:
        client = Client("http://service")
        client._http = httpx.Client(base_url="http://service", transport=self._transport)
        return client

    def _async(self) -> AsyncClient:
        client = AsyncClient("http://service")
        client._http = httpx.AsyncClient(base_url="http://service", transport=self._transport)
        return client


@pytest.fixture(params=["sync", "async"])
def scripted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Ask], Scripted]:
    return lambda ask: Scripted(request.param, ask, monkeypatch)


def stream_of(text: str) -> httpx.Response:
    """A stream of server-sent events."""
    return httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})


def following(events: Iterator[Answer]) -> Ask:
    """A service whose edit is queued while the calls for its events are answered so, and done when they are used up."""

    done = False

    def ask(request: httpx.Request) -> Answer:
        nonlocal done
        if not request.url.path.endswith("/events"):
            return httpx.Response(200, text=(SUCCEEDED if done else QUEUED).model_dump_json())
        answer = next(events, None)
        done = answer is None
        return answer or httpx.Response(204)

    return ask


def test_a_stream_survives_refusals_of_the_moment(scripted: Callable[[Ask], Scripted]) -> None:
    away: list[Answer] = [problem(503, "queue_unavailable"), problem(429, "rate_limited"), httpx.ConnectError("lost")]
    client = scripted(following(iter(away)))
    assert [each.state for each in client.stream()] == ["queued", "succeeded"]
    assert len(client.pauses) == 4
    assert all(pause >= 0.25 for pause in client.pauses)


def test_a_stream_that_closes_in_good_order_is_not_opened_again_at_once(scripted: Callable[[Ask], Scripted]) -> None:
    # Each with a comment, as an idle stream has; more of them than a call may be repeated.
    client = scripted(following(stream_of(": still here\n\n") for _ in range(10)))
    assert [each.state for each in client.stream()] == ["queued", "succeeded"]
    assert client.pauses == [0.5] * 11


def test_a_permanent_refusal_is_raised(scripted: Callable[[Ask], Scripted]) -> None:
    client = scripted(following(problem(503, "queue_unavailable") for _ in range(99)))
    with pytest.raises(ServiceError) as caught:
        client.stream()
    assert caught.value.problem.code == "queue_unavailable"
    assert len(client.pauses) == 3
    client = scripted(following(iter([problem(403, "insufficient_scope")])))
    with pytest.raises(ServiceError, match="insufficient_scope"):
        client.stream()
    assert client.pauses == []


def test_a_delete_whose_answer_was_lost_is_done(scripted: Callable[[Ask], Scripted]) -> None:
    answers: Iterator[Answer] = iter([httpx.ReadError("lost"), problem(404, "not_found")])
    scripted(lambda _: next(answers)).delete()
    assert next(answers, None) is None


def test_a_delete_of_nothing_says_so(scripted: Callable[[Ask], Scripted]) -> None:
    with pytest.raises(ServiceError, match="not_found"):
        scripted(lambda _: problem(404, "not_found")).delete()
