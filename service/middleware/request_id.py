"""Request id and trace context of every request."""

from __future__ import annotations

import re
import secrets
import time
from typing import Annotated, Final, NamedTuple

import structlog
from fastapi import Depends, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from jobs.observability.tracing import present_traceparent, trace_id_of

HEADER: Final = "X-Request-Id"

SILENT = frozenset({"/livez", "/readyz", "/readyz/workers", "/metrics"})
"""Paths whose responses are not logged: they are polled every few seconds."""

PATH_MAX = 200
"""Longest logged part of a path, in characters."""

# Accepted ids of callers: nothing that could forge or bloat a log.
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)

log = structlog.get_logger(__name__)


class RequestMiddleware:
    """Gives each request its id and logs its response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(HEADER, "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(16)
        traceparent = present_traceparent(headers.get("traceparent"))
        scope.setdefault("state", {}).update(request_id=request_id, traceparent=traceparent)
        status, began = 500, time.perf_counter()

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        with bound_contextvars(request=request_id, trace=trace_id_of(traceparent)):
            try:
                await self.app(scope, receive, send_named)
            finally:
                if scope["path"] not in SILENT:
                    seconds = round(time.perf_counter() - began, 4)
                    log.info(
                        "answered",
                        method=scope["method"],
                        path=scope["path"][:PATH_MAX],
                        status=status,
                        seconds=seconds,
                    )


class Origin(NamedTuple):
    """Origin of an edit: the request's id and its `traceparent`."""

    request_id: str
    traceparent: str


async def _origin(request: Request) -> Origin:
    return Origin(request.state.request_id, request.state.traceparent)


OriginDep = Annotated[Origin, Depends(_origin)]
