from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.eta import estimate
from jobs.models import ModelStatus
from jobs.schema import JobRecord, State
from magedit.measures.report import Progress, Stage
from tests.jobs.conftest import Desk
from tests.jobs.test_models import info


@pytest.fixture
def record(desk: Desk) -> JobRecord:
    """Four steps."""
    return desk.record()


def status(workers: int = 2, step_seconds: float | None = 0.5) -> ModelStatus:
    return ModelStatus(info=info(), workers=workers, step_seconds=step_seconds)


def test_queued_estimate_divides_edits_ahead_by_workers(record: JobRecord) -> None:
    assert estimate(record, 0, status(), 0.0) == 2.0
    assert estimate(record, 4, status(), 0.0) == 6.0


def test_running_estimate_uses_the_edits_own_pace(record: JobRecord) -> None:
    progress = Progress(stage=Stage.EDIT, step=1, steps=4, fraction=0.25)
    running = record.model_copy(update={"state": State.RUNNING, "started_at": 100.0, "progress": progress})
    assert estimate(running, None, status(), 103.0) == 9.0
    assert estimate(running.model_copy(update={"progress": None}), None, status(), 101.5) == 0.5


def test_no_estimate_without_measurements(record: JobRecord) -> None:
    assert estimate(record, 0, None, 0.0) is None
    assert estimate(record, 0, status(step_seconds=None), 0.0) is None
    assert estimate(record, 0, status(workers=0), 0.0) is None
    assert estimate(record.model_copy(update={"state": State.FAILED}), None, status(), 0.0) is None


def test_estimate_grows_with_the_number_of_results(record: JobRecord) -> None:
    config = replace(record.request.config, n=3)
    several = record.model_copy(update={"request": record.request.model_copy(update={"config": config})})
    seconds = estimate(several, 0, status(), 0.0)
    assert seconds is not None
    assert 2.0 < seconds < 6.0
