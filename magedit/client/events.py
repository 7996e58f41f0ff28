"""Server-sent events of an edit, shared by both clients."""

from __future__ import annotations

import base64
import json

import httpx
from httpx_sse import ServerSentEvent

from .calls import checked, pause_before_retry
from .models import Edit, Preview, Progress

SILENCE_S = 45.0
"""Silence after which a stream is dead, in seconds; the service sends something every 15 s."""

REOPEN_S = 0.5
"""Pause before reopening a stream that ended normally, in seconds."""


OPEN = ServerSentEvent(event="open")
"""A stream was opened."""


class Refused(Exception):
    """The response is not a stream."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def opening(
    edit_id: str, seen: str, timeout: httpx.Timeout, *, previews: bool = False
) -> tuple[str, dict[str, str], httpx.Timeout]:
    """Path, headers and timeouts of the request that opens a stream after event ``seen``."""
    headers = {"Last-Event-ID": seen} if seen else {}
    asked = "?previews=true" if previews else ""
    return f"/v1/edits/{edit_id}/events{asked}", headers, httpx.Timeout(timeout.connect, read=SILENCE_S)


def pause_before_reopening(failures: int, retries: int, error: httpx.TransportError | Refused) -> float:
    """Seconds to wait before reopening an interrupted or refused stream.

    Raises ServiceError or the original error if reopening is pointless or was tried ``retries`` times.
    """
    pause_s = pause_before_retry(failures, retries, error.response if isinstance(error, Refused) else error)
    if pause_s is not None:
        return pause_s
    if isinstance(error, Refused):
        checked(error.response)
    raise error


def preview_of(event: ServerSentEvent) -> Preview | None:
    """The preview in an event, if it has one."""
    if event.event != "preview":
        return None
    told = json.loads(event.data)
    return Preview.model_validate(told | {"image": base64.b64decode(told["image"])})


def after(edit: Edit, event: ServerSentEvent) -> Edit:
    """The edit after an event, which carries the whole edit or only its changing fields."""
    if event.event == "state":
        return Edit.model_validate_json(event.data)
    if event.event != "progress":
        return edit
    news = json.loads(event.data)
    progress = news["progress"] and Progress.model_validate(news["progress"])
    return edit.model_copy(
        update={"state": news["state"], "progress": progress, "eta_s": news["eta_s"], "attempt": news["attempt"]}
    )
