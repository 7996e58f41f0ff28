"""Streams of `POST /v1/images/edits`: partial images, the result, errors."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from jobs.schema import State
from jobs.settings import Settings
from jobs.storage import ObjectStore
from service.backend import Backend
from service.edits.watcher import Snapshot, Watch
from service.openai.answers import events
from service.openai.form import ImagesForm
from tests.conftest import PATIENCE_S
from tests.jobs.conftest import Desk
from tests.service.conftest import WorkerSide, picture
from tests.service.openai.calls import send, streaming


def told(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events of a stream, as they come."""
    return (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))


def test_a_stream_has_partial_images_evenly_and_the_result(
    client: httpx.Client, working: Any, worker_side: WorkerSide
) -> None:
    heard = threading.Semaphore(0)

    def work(claim: Any) -> None:
        # Of 10 steps: two pictures come after a third and after two thirds.
        worker_side.show(claim, 1)
        for step in (6, 8):
            worker_side.show(claim, step)
            heard.acquire(timeout=PATIENCE_S)
        worker_side.show(claim, 9)
        worker_side.succeed(claim)

    working(work)
    events = []
    with streaming(client, stream="true", partial_images="2", quality="low") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for event in told(answer.iter_lines()):
            events.append(event)
            heard.release()
    *partial, last = events
    assert last["type"] == "image_edit.completed"
    assert base64.b64decode(last["b64_json"]) == picture()
    assert last["usage"]["total_tokens"] == 0
    assert [(each["type"], each["partial_image_index"]) for each in partial] == [
        ("image_edit.partial_image", 0),
        ("image_edit.partial_image", 1),
    ]
    assert {(each["size"], each["quality"], each["output_format"]) for each in partial} == {("8x8", "low", "png")}


def test_a_stream_ends_with_the_error(client: httpx.Client, working: Any, worker_side: WorkerSide) -> None:
    working(worker_side.fail)
    answer = send(client, stream="true")
    assert answer.status_code == 200
    (event,) = told(answer.text.splitlines())
    assert (event["type"], event["error"]["code"]) == ("error", "edit_diverged")


def test_a_stream_whose_result_is_lost_ends_with_the_error(
    client: httpx.Client, working: Any, worker_side: WorkerSide, tmp_path: Path
) -> None:
    elsewhere = ObjectStore.from_settings(worker_side.settings.model_copy(update={"state_dir": tmp_path}))
    working(replace(worker_side, store=elsewhere).succeed)
    (event,) = told(send(client, stream="true").text.splitlines())
    assert (event["type"], event["error"]["code"]) == ("error", "object_not_found")


def streamed(settings: Settings, watch: Watch) -> list[bytes]:
    """The events of an edit whose record is not in Redis, as far as ``watch`` tells of it."""
    desk, backend = Desk(settings), Backend.open(settings)
    unread: Any = None

    async def collect() -> list[bytes]:
        return [event async for event in events(desk.record(), ImagesForm(edit=unread), backend, watch)]

    try:
        return asyncio.run(collect())
    finally:
        backend.close()
        desk.close()


def test_a_stream_reports_the_deletion_of_its_edit(settings: Settings) -> None:
    end = Snapshot(
        revision=1, state=State.SUCCEEDED, cancel_requested=False, attempt=1, edit="{}", progress="{}", warnings=0
    )
    (event,) = streamed(settings, Watch(lambda seen: dict.fromkeys(seen, end)))
    assert b"event: error" in event
    assert b'"expired"' in event


def test_a_stream_ends_with_an_error_when_the_server_stops(settings: Settings) -> None:
    class Closing(Watch):
        async def after(self, job_id: str, revision: int) -> Snapshot | None:
            await self.close()
            return await super().after(job_id, revision)

    (event,) = streamed(settings, Closing(lambda seen: {}))  # noqa: ARG005 (nothing changes)
    assert b"event: error" in event
    assert b'"not_finished_in_time"' in event
    assert b"/result" in event
