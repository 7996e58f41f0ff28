"""Many lives of edits, played by Hypothesis; `tests.jobs.records.life` says what may happen and what must hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as profile
from hypothesis.stateful import run_state_machine_as_test
from structlog.testing import capture_logs

from jobs.settings import Settings
from tests.jobs.conftest import Desk
from tests.jobs.records.life import ATTEMPTS, LIMIT, JobLife


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    """Leases that run out only when a rule says so, a reaper without patience."""
    changes: dict[str, Any] = {
        "lease_s": 600.0,
        "max_attempts": ATTEMPTS,
        "queue_limit": LIMIT,
        "reaper_grace_s": 0.0,
        "storage_url": "memory:",
    }
    desk = Desk(settings.model_copy(update=changes))
    yield desk
    desk.close()


def play(desk: Desk, **changes: Any) -> None:
    """Play many lives, each on the emptied server of ``desk``."""

    class Life(JobLife):
        def __init__(self) -> None:
            super().__init__(desk)

    checks = list(HealthCheck)
    with capture_logs():
        run_state_machine_as_test(
            Life, settings=profile(deadline=None, database=None, suppress_health_check=checks, **changes)
        )


def test_job_life(desk: Desk) -> None:
    play(desk, max_examples=30, stateful_step_count=40, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_job_life_for_long(desk: Desk) -> None:
    play(desk, max_examples=300, stateful_step_count=100)
