"""Places for work in threads: so much at a time, in turn, and given back whatever becomes of the work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import TypeVar

import anyio
import pytest
from starlette.concurrency import run_in_threadpool

from service.errors import Busy
from service.images.upload_limiter import UploadLimiter
from tests.conftest import PATIENCE_S, wait_until

T = TypeVar("T")
THREADS = 40
"""As many as anyio has for all work of an event loop."""


def run(work: Coroutine[object, object, T]) -> T:
    """What ``work`` returns in an event loop of its own; a wait without end is a failure."""

    async def bounded() -> T:
        async with asyncio.timeout(PATIENCE_S):
            return await work

    return asyncio.run(bounded())


class Held:
    """Work that goes on until it is told to end; the numbers of those that have begun."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self._end = threading.Event()

    def __call__(self, number: int = 0) -> int:
        self.begun.append(number)
        assert self._end.wait(PATIENCE_S)
        return number

    def end(self) -> None:
        """Let go of what has begun, and of all that comes."""
        self._end.set()

    async def has_begun(self, count: int) -> None:
        """Wait until so many have."""
        # In a thread of asyncio's own: anyio's are what the places are for.
        await asyncio.to_thread(wait_until, lambda: len(self.begun) >= count)


def test_work_runs_in_a_thread_with_its_arguments() -> None:
    def work(first: str, *, second: str) -> tuple[str, int]:
        return first + second, threading.get_ident()

    said, thread = run(UploadLimiter(1).run(work, "a", second="b"))
    assert said == "ab"
    assert thread != threading.get_ident()


def test_concurrency_is_limited() -> None:
    held = Held()

    async def use() -> tuple[list[int], list[int]]:
        upload_limiter = UploadLimiter(2)
        tasks = [asyncio.create_task(upload_limiter.run(held, number)) for number in range(6)]
        await held.has_begun(2)
        # All others have asked before the second began; had one been let in, it would show by now.
        await asyncio.sleep(0.1)
        within = sorted(held.begun)
        held.end()
        return within, await asyncio.gather(*tasks)

    assert run(use()) == ([0, 1], list(range(6)))


def test_first_come_first_served() -> None:
    held = Held()

    async def use() -> None:
        upload_limiter = UploadLimiter(1)
        tasks = [asyncio.create_task(upload_limiter.run(held, number)) for number in range(6)]
        await held.has_begun(1)
        held.end()
        await asyncio.gather(*tasks)

    run(use())
    assert held.begun == list(range(6))


def test_waiting_work_holds_no_thread() -> None:
    held = Held()

    async def use() -> str:
        upload_limiter = UploadLimiter(1)
        tasks = [asyncio.create_task(upload_limiter.run(held, number)) for number in range(THREADS + 8)]
        await held.has_begun(1)
        said = await run_in_threadpool(lambda: "there was one left")
        held.end()
        await asyncio.gather(*tasks)
        return said

    assert run(use()) == "there was one left"


def test_failed_work_releases_its_slot() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async def use() -> str:
        upload_limiter = UploadLimiter(1, patience_s=0.1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await upload_limiter.run(fail)
        return await upload_limiter.run(str, 1)

    assert run(use()) == "1"


def test_the_wait_for_a_slot_times_out_without_a_leak() -> None:
    held = Held()

    async def use() -> str:
        upload_limiter = UploadLimiter(1, patience_s=0.05)
        first = asyncio.create_task(upload_limiter.run(held))
        await held.has_begun(1)
        for _ in range(3):
            with pytest.raises(Busy, match=r"1 uploads .* within 0\.05 s"):
                await upload_limiter.run(held)
        held.end()
        await first
        return await upload_limiter.run(str, 1)

    assert run(use()) == "1"
    # Who was sent away was never served.
    assert held.begun == [0]


def test_timeout_covers_waiting_not_work() -> None:
    held = Held()

    async def use() -> int:
        upload_limiter = UploadLimiter(1, patience_s=0.01)
        task = asyncio.create_task(upload_limiter.run(held, 7))
        await asyncio.sleep(0.1)
        held.end()
        return await task

    assert run(use()) == 7


def test_abandoned_work_keeps_its_slot_until_its_thread_ends() -> None:
    """What the places bound is memory, and that is the thread's."""
    held = Held()

    async def use() -> None:
        upload_limiter = UploadLimiter(1, patience_s=0.05)
        # Starlette ends a request by anyio's cancellation.
        async with anyio.create_task_group() as group:
            group.start_soon(upload_limiter.run, held)
            await held.has_begun(1)
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                with pytest.raises(Busy):
                    await upload_limiter.run(str, 1)
                held.end()
        # The thread is given its time to end.
        while (said := await whether_free(upload_limiter)) is None:
            pass
        assert said == "1"

    async def whether_free(upload_limiter: UploadLimiter) -> str | None:
        try:
            return await upload_limiter.run(str, 1)
        except Busy:
            return None

    run(use())
