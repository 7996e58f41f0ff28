"""One look for all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from jobs.errors import QueueUnavailable
from jobs.schema import State
from service.edits.watcher import LOOK_S, NOTHING, Snapshot, Watch
from tests.conftest import PATIENCE_S, wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def snapshot(revision: int, state: State = State.RUNNING) -> Snapshot:
    return Snapshot(
        revision=revision, state=state, cancel_requested=False, attempt=1, warnings=0, edit="{}", progress="{}"
    )


class Edits:
    """Stands in for the records: what a look finds, and what it was asked."""

    def __init__(self, **now: Snapshot | None) -> None:
        self.now = now
        self.asked: list[dict[str, int]] = []
        self.away = False

    def look(self, seen: Mapping[str, int]) -> Mapping[str, Snapshot | None]:
        self.asked.append(dict(seen))
        if self.away:
            raise QueueUnavailable("away")
        return {
            job_id: found
            for job_id, revision in seen.items()
            if (found := self.now.get(job_id)) is None or found.revision > revision
        }


async def test_many_listeners_share_one_query() -> None:
    edits = Edits(a=snapshot(3), b=snapshot(0))
    watch = Watch(edits.look)

    async def listen(number: int) -> list[int]:
        revisions, job_id = [NOTHING], "a" if number % 2 else "b"
        with watch.watching(job_id):
            while True:
                found = await watch.after(job_id, revisions[-1])
                assert found is not None
                revisions.append(found.revision)
                last[number] = found.revision
                if found.state.is_terminal:
                    return revisions[1:]

    async def all_heard(revision: int) -> None:
        await asyncio.to_thread(wait_until, lambda: last.count(revision) == len(last) // 2)

    last = [NOTHING] * 500
    listeners = [asyncio.create_task(listen(number)) for number in range(len(last))]
    await all_heard(3)
    await all_heard(0)
    assert watch.watched == 2
    edits.now |= {"a": snapshot(4), "b": snapshot(1, State.FAILED)}
    await all_heard(4)
    edits.now["a"] = snapshot(9, State.SUCCEEDED)
    heard = await asyncio.wait_for(asyncio.gather(*listeners), PATIENCE_S)
    assert heard == [[3, 4, 9] if number % 2 else [0, 1] for number in range(500)]
    # Asked of both edits at first, with what was known of them, and of nothing once nobody listens.
    assert edits.asked[0] == {"a": NOTHING, "b": NOTHING}
    assert {"a": 3, "b": 0} in edits.asked
    assert edits.asked[-1] == {"a": 4}
    assert watch.watched == 0
    asked = len(edits.asked)
    await asyncio.sleep(4 * LOOK_S)
    assert len(edits.asked) == asked


async def test_deleted_edit_ends_the_wait() -> None:
    edits = Edits(a=None)
    assert await asyncio.wait_for(Watch(edits.look).end("a"), PATIENCE_S) is None


async def asked_again(edits: Edits) -> None:
    """Return after two more looks, the second of which began after this call."""
    before = len(edits.asked)
    await asyncio.to_thread(wait_until, lambda: len(edits.asked) >= before + 2)


async def test_wait_continues_through_an_outage() -> None:
    edits = Edits(a=snapshot(1))
    watch = Watch(edits.look)
    end = asyncio.create_task(watch.end("a"))
    await asked_again(edits)
    edits.away = True
    await asked_again(edits)
    assert not end.done()
    edits.now["a"] = snapshot(2, State.CANCELED)
    edits.away = False
    found = await asyncio.wait_for(end, PATIENCE_S)
    assert found is not None
    assert found.state is State.CANCELED


async def test_late_watchers_get_the_known_state_at_once() -> None:
    edits = Edits(a=snapshot(5))
    watch = Watch(edits.look)
    with watch.watching("a"):
        await watch.after("a", NOTHING)
        edits.away = True
        with watch.watching("a"):
            found = await asyncio.wait_for(watch.after("a", 4), PATIENCE_S)
        assert found == snapshot(5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.after("a", 5), 3 * LOOK_S)
    assert watch.watched == 0


async def test_failed_poll_does_not_end_the_wait() -> None:
    edits = Edits(a=snapshot(1))
    faults = [RuntimeError("a bug"), KeyError("another")]

    def look(seen: Mapping[str, int]) -> Mapping[str, Snapshot | None]:
        if faults:
            raise faults.pop()
        return edits.look(seen)

    watch = Watch(look)
    async with asyncio.timeout(PATIENCE_S):
        with watch.watching("a"):
            assert await watch.after("a", NOTHING) == snapshot(1)
    assert faults == []
