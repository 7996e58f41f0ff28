from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.overhead import Inside, measure
from magedit.config import EditConfig


def test_of_nested_calls_the_outer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "process_time", lambda: clock[0])

    def busy() -> None:
        clock[0] += 1.0

    timer = Inside()
    inner = timer.wrap(busy)

    def outer() -> None:
        inner()
        busy()

    timer.wrap(outer)()
    busy()
    assert timer.seconds == 2.0


def test_both_ways_make_the_edit(tmp_path: Path) -> None:
    figures = measure(tmp_path, EditConfig(steps=4), repeats=1)
    assert 0 < figures["outside_model"] < 1
    assert figures["bare_s"] > 0
    assert figures["service_over_bare"] == figures["service_s"] / figures["bare_s"] - 1
