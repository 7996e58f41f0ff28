"""A `Desk` on the test's own Redis and folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.settings import Settings
from tests.jobs.desk import Desk


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    """The job side of a service; a lease ends when the test says so (`tests.jobs.desk.lapse`)."""
    desk = Desk(settings.model_copy(update={"lease_s": 600.0, "max_attempts": 2}))
    yield desk
    desk.close()
