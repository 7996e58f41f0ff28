from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.load import WARM, main, measure, medians
from benchmarks.queue_depth import site
from jobs.records.store import Records
from jobs.settings import Settings
from tests.jobs.conftest import open_ids


def test_every_request_is_counted_and_answered(tmp_path: Path) -> None:
    with site(tmp_path / "0", 0) as at:
        loads = asyncio.run(measure(at, rate=20, seconds=0.5, listeners=3, rounds=2))
        # What the first requests made; nothing of what was submitted later.
        records = Records(at.redis, Settings())
        assert len(open_ids(records)) == WARM
    assert set(loads) == {"status", "submit", "event"}
    assert [len(each.latency_ms) for each in loads["status"]] == [10, 10]
    # Two changes, or one where two come between two looks, to each of three listeners.
    assert len(loads["event"][0].latency_ms) in {3, 6}
    for rounds in loads.values():
        figures = medians(rounds)
        assert figures["n"] > 0
        assert 0 < figures["p50"] <= figures["p99"]
        assert figures["per_s"] > 0


def test_no_edits_in_line_is_one_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    options = ["--depth", "0", "--rounds", "1", "--seconds", "0.6", "--rate", "20", "--listeners", "3"]
    monkeypatch.setattr("sys.argv", ["load", *options, "--json", str(tmp_path / "found.json")])
    main()
    assert set(json.loads((tmp_path / "found.json").read_text())) == {"0"}
