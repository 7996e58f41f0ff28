"""Edits on the tiny checkpoint whose cost is measured."""

from __future__ import annotations

import pytest

from benchmarks.speed import counters
from benchmarks.speed.costs import Bench, Job
from benchmarks.speed.counters import Clock
from magedit.config import Region
from magedit.pipelines.mag_edit import MAGEditPipeline
from tests.magedit.conftest import Room, _one_thread, pipe, room

__all__ = ["_one_thread", "pipe", "room"]


@pytest.fixture
def job(room: Room) -> Job:
    return Job(room.image, (room.mask,), room.source, room.target, (Region(),))


@pytest.fixture
def bench(pipe: MAGEditPipeline, job: Job, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(counters, "PEAK_SIDE", 64)
    return Bench.of(pipe, job, Clock("cpu"))


@pytest.fixture
def _no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is measured by a further edit, which not every test needs."""
    monkeypatch.setattr(Bench, "_mebibytes", lambda *_: 1.0)
