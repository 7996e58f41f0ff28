"""`Prefer: wait=n` (RFC 7240, 4.3): an answer that waits for the end of an edit.

Nobody who waits holds a thread or a connection to Redis: one task of the process asks for all of them together which
edits are unfinished still.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from jobs.errors import QueueUnavailable

LOOK_S = 0.2
"""Pause between two looks, in seconds: so late an end may be noticed."""

_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE | re.ASCII)


def preferred_wait(values: Sequence[str]) -> int | None:
    """The seconds of the first `wait` in the lines of a `Prefer` header; None without one. What else is there is no
    error, but unknown to us (RFC 7240, 2)."""
    for value in values:
        for preference in value.split(","):
            if match := _WAIT.fullmatch(preference.partition(";")[0].strip()):
                return int(match[1])
    return None


class Watch:
    """Knows when edits end. For one event loop."""

    def __init__(self, unfinished: Callable[[Sequence[str]], set[str]]) -> None:
        """``unfinished``: those of the ids that are not finished; may raise QueueUnavailable. Called in a thread."""
        self._unfinished = unfinished
        self._waiting: Counter[str] = Counter()
        self._looked = asyncio.Condition()
        self._open: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def ended(self, job_id: str, timeout_s: float) -> bool:
        """Wait until the edit is finished or gone; False: not within ``timeout_s`` seconds."""
        self._waiting[job_id] += 1
        self._open.add(job_id)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(timeout_s), self._looked:
                await self._looked.wait_for(lambda: job_id not in self._open)
        except TimeoutError:
            return False
        finally:
            self._waiting[job_id] -= 1
            if not self._waiting[job_id]:
                del self._waiting[job_id]
        return True

    async def _look(self) -> None:
        while self._waiting:
            asked = list(self._waiting)
            try:
                still = await run_in_threadpool(self._unfinished, asked)
            except QueueUnavailable:
                # Redis is away: nothing is known to have ended.
                still = set(asked)
            async with self._looked:
                self._open.difference_update(set(asked) - still)
                self._looked.notify_all()
            self._open.intersection_update(self._waiting)
            await asyncio.sleep(LOOK_S)


async def ended_while_connected(request: Request, watch: Watch, job_id: str, timeout_s: float) -> bool:
    """As `Watch.ended`; gives up when the caller hangs up. The body must have been read."""
    ended = asyncio.ensure_future(watch.ended(job_id, timeout_s))
    gone = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
        return ended.done() and ended.result()
    finally:
        ended.cancel()
        gone.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
