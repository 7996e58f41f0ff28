"""`Prefer: wait=n` (RFC 7240, 4.3): a response that waits for the edit to finish."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from fastapi import Request

from service.edits.watcher import Watch

_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE | re.ASCII)


def preferred_wait(values: Sequence[str]) -> int | None:
    """The seconds of the first `wait` in the lines of a `Prefer` header; None without one. Other preferences are
    ignored (RFC 7240, 2)."""
    for value in values:
        for preference in value.split(","):
            if match := _WAIT.fullmatch(preference.partition(";")[0].strip()):
                return int(match[1])
    return None


async def await_end(request: Request, watch: Watch, job_id: str, timeout_s: float) -> None:
    """Wait until the edit is finished or deleted, the time is up, the caller disconnects, or this process stops.

    The body must have been read.
    """
    ended = asyncio.ensure_future(watch.end(job_id))
    gone = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({ended, gone}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        gone.cancel()
        await asyncio.gather(ended, gone, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
