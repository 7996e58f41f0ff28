from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.load import measure, medians
from benchmarks.queue_depth import site


def test_every_request_is_counted_and_answered(tmp_path: Path) -> None:
    with site(tmp_path / "0", 0) as at:
        loads = asyncio.run(measure(at, rate=20, seconds=0.5, listeners=3, rounds=2))
    assert set(loads) == {"status", "submit", "event"}
    assert [len(each.latency_ms) for each in loads["status"]] == [10, 10]
    # Two changes, or one where two come between two looks, to each of three listeners.
    assert len(loads["event"][0].latency_ms) in {3, 6}
    for rounds in loads.values():
        figures = medians(rounds)
        assert figures["n"] > 0
        assert 0 < figures["p50"] <= figures["p99"]
        assert figures["per_s"] > 0
