"""Times out request bodies that stall or trickle.

Without it a slow sender could hold a connection, a file on disk and a server slot indefinitely.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SLOWEST = 1024
"""Minimum average rate of a body, in bytes per second, after a grace time; Apache's `mod_reqtimeout` has 500."""


class BodyTooSlow(HTTPException):
    """The body has stalled or trickles (RFC 9110, 15.5.9).

    An error of Starlette's, which FastAPI propagates while it reads a form.
    """

    def __init__(self) -> None:
        # The rest of the body is not read.
        super().__init__(HTTPStatus.REQUEST_TIMEOUT, headers={"Connection": "close"})


class BodyMiddleware:
    """Aborts requests whose body does not arrive."""

    def __init__(self, app: ASGIApp, *, idle_s: float) -> None:
        """``idle_s``: longest pause between two chunks, in seconds."""
        self.app, self.idle_s = app, idle_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, received, whole = time.monotonic(), 0, False

        async def receive_in_time() -> Message:
            nonlocal received, whole
            if whole:
                return await receive()
            late = began + self.idle_s + received / SLOWEST - time.monotonic()
            try:
                async with asyncio.timeout(max(0.0, min(self.idle_s, late))):
                    message = await receive()
            except TimeoutError as error:
                raise BodyTooSlow from error
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            return message

        await self.app(scope, receive_in_time, send)
