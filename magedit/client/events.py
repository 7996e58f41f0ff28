"""Server-sent events (WHATWG HTML, 9.2), shared by both clients."""

from __future__ import annotations

import json
from typing import NamedTuple

import httpx

from .calls import checked, pause_before_retry
from .models import Edit, Progress

SILENCE_S = 45.0
"""A stream that says nothing for so long is dead, in seconds: the service speaks every 15 s."""

REOPEN_S = 0.5
"""Pause before a stream that was closed in good order is opened again, in seconds."""


class Event(NamedTuple):
    """One event; ``kind`` is `state`, `progress`, `deleted`, or `open` of a stream that has begun."""

    id: str
    kind: str
    data: str


OPEN = Event("", "open", "")


class Lines:
    """Makes events of lines."""

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def feed(self, line: str) -> Event | None:
        """The event that this line completes."""
        name, _, value = line.partition(":")
        if name:
            # One line of data an event is all that the service sends.
            self._fields[name] = value.removeprefix(" ")
        elif not line:
            fields, self._fields = self._fields, {}
            if "event" in fields:
                return Event(fields.get("id", ""), fields["event"], fields.get("data", ""))
        # Else a comment (a line that begins with a colon), which may stand in the middle of an event.
        return None


class Refused(Exception):
    """The answer was no stream."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def opening(edit_id: str, seen: str, timeout: httpx.Timeout) -> tuple[str, dict[str, str], httpx.Timeout]:
    """Path, headers and time limits of the call that opens a stream where ``seen`` was its last event."""
    headers = {"Last-Event-ID": seen} if seen else {}
    return f"/v1/edits/{edit_id}/events", headers, httpx.Timeout(timeout.connect, read=SILENCE_S)


def pause_before_reopening(failures: int, retries: int, error: httpx.TransportError | Refused) -> float:
    """Seconds to wait before a stream that broke off or was refused is opened again.

    Raises ServiceError or what broke it if that would be no use, or was done ``retries`` times.
    """
    pause_s = pause_before_retry(failures, retries, error.response if isinstance(error, Refused) else error)
    if pause_s is not None:
        return pause_s
    if isinstance(error, Refused):
        checked(error.response)
    raise error


def after(edit: Edit, event: Event) -> Edit:
    """The edit after an event: the whole of it, or what changes while it runs."""
    if event.kind == "state":
        return Edit.model_validate_json(event.data)
    if event.kind != "progress":
        return edit
    news = json.loads(event.data)
    progress = news["progress"] and Progress.model_validate(news["progress"])
    return edit.model_copy(
        update={"state": news["state"], "progress": progress, "eta_s": news["eta_s"], "attempt": news["attempt"]}
    )
