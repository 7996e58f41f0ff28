from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.load import measure
from benchmarks.queue_depth import site


def test_every_request_is_counted_and_answered(tmp_path: Path) -> None:
    with site(tmp_path / "0", 0) as at:
        loads = asyncio.run(measure(at, rate=20, seconds=0.5, listeners=3))
    assert set(loads) == {"status", "submit", "event"}
    assert len(loads["status"].latency_ms) == 10
    # Two changes, or one where two come between two looks, to each of three listeners.
    assert len(loads["event"].latency_ms) in {3, 6}
    for load in loads.values():
        figures = load.figures()
        assert figures["n"] == len(load.latency_ms) > 0
        assert 0 < figures["p50"] <= figures["p99"]
        assert figures["per_s"] > 0
