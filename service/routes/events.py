"""An edit's changes as they happen: server-sent events (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.concurrency import run_in_threadpool

from jobs.errors import QueueUnavailable
from jobs.records.previews import CONTENT_TYPE, EditPreview, Previews
from jobs.schema import AnyRecord, State
from service.deps import AnyOwnEdit, Backend, WatchDep
from service.edits.views import EDITS
from service.edits.watcher import NOTHING, Snapshot, Watch, WatchClosed
from service.openapi.responses import REDIS_AWAY, problems
from service.routes.edits import NOT_FOUND

KEEP_ALIVE_S = 15.0
"""Longest silence, in seconds: proxies close connections that are silent for longer (WHATWG HTML, 9.2.7)."""

DESCRIPTION = """\
Follow an edit. Events are `state` (data: the edit, as from `GET /v1/edits/{id}`), `progress` (data: `id`, `state`,
`progress`, `eta_s`, `attempt`) and `deleted`. The first is the current `state`; a new warning also sends a `state`; the
last is a finished `state` or `deleted`, after which the stream ends. An event's id increases with each change of the
edit. A client that reconnects with `Last-Event-ID` gets the current state if it has changed since, and 204 if it cannot
change any more. A comment is sent every 15 s.

With `previews=true` there are also `preview` events, without an id (data: `id`, `result`, `step`, `steps`,
`content_type`, and `image` in base64): the picture of `GET /v1/edits/{id}/preview`, whenever there is a new one.
"""

STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events, until the edit is finished.",
        "content": {
            EventSourceResponse.media_type: {
                # In each event.
                "schema": {
                    "type": "object",
                    "properties": {
                        "event": {"enum": ["state", "progress", "preview", "deleted"]},
                        "id": {"type": "string", "description": "The edit's revision."},
                        "data": {"type": "string", "description": "JSON."},
                    },
                    "required": ["event", "data"],
                },
                "example": 'id: 1\nevent: state\ndata: {"id":"0190...","state":"running",...}\n\n',
            }
        },
    },
    204: {"description": "The edit is finished and `Last-Event-ID` was its last event: do not reconnect."},
}

router = APIRouter(prefix=EDITS + "/{edit_id}", tags=["edits"])


@router.get(
    "/events",
    summary="Follow an edit",
    description=DESCRIPTION,
    response_class=Response,
    responses={**STREAM, **problems(NOT_FOUND, REDIS_AWAY)},
)
async def get_events(
    request: Request,
    record: AnyOwnEdit,
    watch: WatchDep,
    backend: Backend,
    previews: Annotated[bool, Query(description="Whether to send `preview` events.")] = False,
    last_event_id: Annotated[str | None, Header(description="Id of the last received event.")] = None,
) -> Response:
    """Stream the changes of an edit."""
    return stream(
        request, record, watch, last_event_id, PreviewEvents(backend.previews, record.id) if previews else None
    )


def stream(
    request: Request, record: AnyRecord, watch: Watch, last_event_id: str | None, previews: PreviewEvents | None
) -> Response:
    """The events of an edit or mask after the last one that the caller has received."""
    seen = _seen(last_event_id, record)
    if record.state.is_terminal and seen == record.revision:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    # `no-transform` and the second header keep proxies from buffering or compressing events.
    headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    if getattr(request.state, "head", False):
        return Response(media_type=EventSourceResponse.media_type, headers=headers)
    return EventSourceResponse(_events(watch, record.id, seen, previews), headers=headers)


def _seen(last_event_id: str | None, record: AnyRecord) -> int:
    """The caller's revision; `NOTHING` if it is missing or never existed."""
    text = (last_event_id or "").strip()
    revision = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else NOTHING
    return revision if revision <= record.revision else NOTHING


class PreviewEvents:
    """The previews of one edit, each once."""

    def __init__(self, previews: Previews, edit_id: str) -> None:
        self._previews, self._edit_id = previews, edit_id
        self._told: tuple[int, int] | None = None

    async def latest(self, attempt: int) -> EditPreview | None:
        """The edit's latest preview, unless it was sent already; ``attempt`` is the edit's current one."""
        try:
            if (attempt, await run_in_threadpool(self._previews.number, self._edit_id)) == self._told:
                return None
            preview = await run_in_threadpool(self._previews.get, self._edit_id)
        except QueueUnavailable:
            return None
        number = (attempt, preview.number if preview else 0)
        if preview is None or number == self._told:
            return None
        self._told = number
        return preview


async def _events(watch: Watch, edit_id: str, seen: int, previews: PreviewEvents | None) -> AsyncIterator[bytes]:
    told: tuple[State, bool, int] | None = None
    with watch.watching(edit_id):
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    snapshot = await watch.after(edit_id, seen)
            except TimeoutError:
                yield format_sse_event(comment="still here")
                continue
            except WatchClosed:
                # This front end is stopping; the client reconnects to another one with `Last-Event-ID`.
                return
            if snapshot is None:
                yield format_sse_event(event="deleted", data_str="{}")
                return
            yield _event(snapshot, told)
            seen, told = snapshot.revision, snapshot.rare
            if snapshot.state.is_terminal:
                return
            if previews is not None and (preview := await previews.latest(snapshot.attempt)) is not None:
                yield format_sse_event(event="preview", data_str=_data(edit_id, preview))


def _event(snapshot: Snapshot, told: tuple[State, bool, int] | None) -> bytes:
    """The whole edit, or only its progress if nothing else has changed."""
    number = str(snapshot.revision)
    if told == snapshot.rare:
        return format_sse_event(id=number, event="progress", data_str=snapshot.progress)
    return format_sse_event(id=number, event="state", data_str=snapshot.edit)


def _data(edit_id: str, preview: EditPreview) -> str:
    told = {"id": edit_id, "result": preview.result, "step": preview.step, "steps": preview.steps}
    image = base64.b64encode(preview.image).decode()
    return json.dumps({**told, "content_type": CONTENT_TYPE, "image": image})
