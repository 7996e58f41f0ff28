from __future__ import annotations

import math
import shutil
import statistics
from pathlib import Path

import pytest

from benchmarks.scale import (
    SCENARIOS,
    SPARE,
    Capacity,
    Costs,
    bearable,
    benchmark_redis,
    line_through,
    measure,
    run_all,
    share_of_redis,
    stretched,
)

COSTS = Costs(
    edit_s=[8.0, 12.0],
    load_s=5.0,
    commands_per_edit=100.0,
    commands_per_running_s=10.0,
    commands_per_idle_s=2.0,
    cpu_s_per_edit=0.005,
    cpu_s_per_running_s=0.0,
    cpu_s_per_idle_s=0.0,
    bytes_per_edit=4000.0,
)
CAPACITY = Capacity(requests_per_s=2400.0, requests_per_cpu_s=10_000.0)


def test_what_belongs_to_an_edit_and_what_to_its_seconds() -> None:
    assert line_through([(1.0, 30.0), (3.0, 50.0)]) == (20.0, 10.0)
    assert line_through([(1.0, 30.0), (3.0, 20.0)]) == (30.0, 0.0)


def test_the_larger_share_counts() -> None:
    # 10 workers, an edit a second of 10 s: 20 + 100 + 100 commands of 2400, 5 ms of CPU.
    assert share_of_redis(COSTS, CAPACITY, 10, 1.0, 10.0) == pytest.approx(220 / 2400)
    quick = Capacity(requests_per_s=1e9, requests_per_cpu_s=1e9)
    assert share_of_redis(COSTS, quick, 10, 1.0, 10.0) == pytest.approx(0.005)


def test_half_of_a_redis_is_taken_by_so_many() -> None:
    found = bearable(COSTS, CAPACITY, 10.0, 0.8)
    assert share_of_redis(COSTS, CAPACITY, found, found * 0.08, 10.0) <= SPARE
    assert share_of_redis(COSTS, CAPACITY, found + 1, (found + 1) * 0.08, 10.0) > SPARE


def test_stretched_times_keep_their_shape() -> None:
    found = stretched([1.0, 3.0], 10.0)
    assert found == [5.0, 15.0]


def test_every_scenario_is_simulated_and_loses_nothing() -> None:
    rows = run_all(COSTS, [2], 300.0, seed=0)
    assert [name for _, name, _ in rows] == list(SCENARIOS)
    for scenario, _, outcome in rows:
        assert statistics.mean(scenario.edit_s) == pytest.approx(300.0)
        assert outcome.arrived > 0
        assert outcome.lost == 0


def test_costs_are_those_of_a_real_stack(tmp_path: Path) -> None:
    costs = measure(tmp_path, edits=1, lengths=(2, 6), idle_s=1.0)
    assert len(costs.edit_s) == 1
    assert costs.load_s > 0
    # Submit, claim, commit and what callers ask are some dozens of commands.
    assert costs.commands_per_edit + costs.commands_per_running_s > 10
    assert costs.commands_per_idle_s > 0
    assert costs.cpu_s_per_idle_s > 0
    assert costs.bytes_per_edit > 500


def test_redis_benchmark_loads_a_server_of_the_same_configuration(tmp_path: Path) -> None:
    if shutil.which("redis-benchmark") is None:
        with pytest.raises(FileNotFoundError, match="redis-tools"):
            benchmark_redis(tmp_path / "r", 10)
        return
    found = benchmark_redis(tmp_path / "r", 2000)
    assert math.isfinite(found.requests_per_s)
    assert found.requests_per_s > 0
    assert found.requests_per_cpu_s > 0
