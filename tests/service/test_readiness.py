"""Parts that are looked at in bounded time and threads."""

from __future__ import annotations

import asyncio
import threading

from jobs.schema import FieldError
from service.readiness import Readiness
from tests.conftest import PATIENCE_S

WRONG = FieldError(field="a", message="is away")


def test_reasons_are_ordered_and_only_from_failing_checks() -> None:
    readiness = Readiness({"a": lambda: WRONG, "b": lambda: None}, patience_s=PATIENCE_S)
    assert asyncio.run(readiness.reasons()) == (WRONG,)


def test_concurrent_checks_share_a_hanging_probe() -> None:
    go, looks = threading.Event(), []

    def hang() -> None:
        looks.append(1)
        go.wait(PATIENCE_S)

    async def ask() -> None:
        readiness = Readiness({"a": hang, "b": lambda: WRONG}, patience_s=0.05)
        for answers in (await asyncio.gather(*(readiness.reasons() for _ in range(50))), [await readiness.reasons()]):
            for reasons in answers:
                assert reasons[0] == FieldError(field="a", message="no response within 0.05 s")
                # Where threads begin late, that of the other is not heard in time either.
                assert reasons[1] in (WRONG, FieldError(field="b", message="no response within 0.05 s"))
        assert len(looks) == 1
        go.set()
        async with asyncio.timeout(PATIENCE_S):
            while await readiness.reasons() != (WRONG,):
                pass
        # The one that hung is over, so that the next question is a look of its own.
        await readiness.reasons()
        assert len(looks) > 1

    asyncio.run(ask())
