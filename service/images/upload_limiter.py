"""Limit on uploads decoded at a time; a waiting request holds no thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

from service.errors import Busy

PATIENCE_S = 30.0
"""Longest wait for a place, in seconds; while storage is down, places stay taken until its timeouts."""

P = ParamSpec("P")
T = TypeVar("T")


class UploadLimiter:
    """Runs functions in threads, a limited number at a time, first come first served. For the coroutines of one event
    loop."""

    def __init__(self, count: int, *, patience_s: float = PATIENCE_S) -> None:
        self._count, self._patience_s = count, patience_s
        self._free = asyncio.Semaphore(count)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of ``work``. Raises Busy if no place becomes free in time."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._free.acquire()
        except TimeoutError as error:
            raise Busy(
                f"{self._count} uploads are being processed, which is the limit, and none finished within "
                f"{self._patience_s:g} s; try again later"
            ) from error
        try:
            return await run_in_threadpool(work, *args, **kwargs)
        finally:
            self._free.release()
