"""Parts that are looked at in bounded time and threads."""

from __future__ import annotations

import asyncio
import threading

from jobs.schema import FieldError
from service.readiness import Readiness

WRONG = FieldError(field="a", message="is away")


def test_reasons_come_in_order_and_only_from_what_is_wrong() -> None:
    readiness = Readiness({"a": lambda: WRONG, "b": lambda: None})
    assert asyncio.run(readiness.reasons()) == (WRONG,)


def test_who_asks_while_a_look_hangs_waits_for_the_same_one() -> None:
    go, looks = threading.Event(), []

    def hang() -> None:
        looks.append(1)
        go.wait(30)

    async def ask() -> None:
        readiness = Readiness({"a": hang, "b": lambda: WRONG}, patience_s=0.05)
        for answers in (await asyncio.gather(*(readiness.reasons() for _ in range(50))), [await readiness.reasons()]):
            for reasons in answers:
                assert reasons == (FieldError(field="a", message="no answer in 0.05 s"), WRONG)
        assert len(looks) == 1
        go.set()
        await asyncio.sleep(0.2)
        assert await readiness.reasons() == (WRONG,)
        assert len(looks) == 2

    asyncio.run(ask())
