from __future__ import annotations

import shutil
import statistics
from pathlib import Path

import pytest
from redis import Redis

from benchmarks.scale.run import (
    SCENARIOS,
    SPARE,
    Capacity,
    Costs,
    Usage,
    aof_writes,
    bearable,
    benchmark_redis,
    line_through,
    measure,
    run_all,
    share_of_redis,
    stretched,
)
from tests.conftest import redis_server

COSTS = Costs(
    edit_s=[8.0, 12.0],
    load_s=5.0,
    front_end=Usage(0.001, 1.0),
    worker=Usage(0.0, 2.0),
    edit=Usage(0.005, 100.0),
    running=Usage(0.0, 10.0),
    bytes_per_edit=4000.0,
)
CAPACITY = Capacity(writes_per_s=2400.0, writes_per_cpu_s=10_000.0)


def test_costs_are_split_per_edit_and_per_second() -> None:
    assert line_through([(1.0, 30.0), (3.0, 50.0)]) == (20.0, 10.0)
    assert line_through([(1.0, 30.0), (3.0, 20.0)]) == (30.0, 0.0)


def test_load_of_a_fleet_on_one_redis() -> None:
    # 10 workers, an edit a second of 10 s: 1 + 20 + 100 + 100 writes of 2400, 6 ms of CPU.
    found = share_of_redis(COSTS, CAPACITY, 10, 1.0, 10.0)
    assert found == pytest.approx((0.006, 221 / 2400))


def test_half_of_a_redis_is_taken_by_so_many() -> None:
    found = bearable(COSTS, CAPACITY, 10.0, 0.8)
    assert max(share_of_redis(COSTS, CAPACITY, found, found * 0.08, 10.0)) <= SPARE
    assert max(share_of_redis(COSTS, CAPACITY, found + 1, (found + 1) * 0.08, 10.0)) > SPARE


def test_a_script_that_writes_often_is_one_write(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url, Redis.from_url(url) as redis:
        before = aof_writes(tmp_path)
        redis.set("a", 1)
        redis.get("a")
        redis.eval("redis.call('SET', 'b', 1) redis.call('SET', 'c', 'x\\r\\n*1') return 0", 0)
        redis.eval("return redis.call('GET', 'b')", 0)
        redis.pipeline(transaction=True).set("d", 1).set("e", 1).execute()
        assert aof_writes(tmp_path) - before == 3


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
    costs = measure(tmp_path, edits=1, lengths=(2, 6), idle_s=2.0, workers=2)
    assert len(costs.edit_s) == 1
    assert costs.load_s > 0
    # Created, put in line, claimed, in progress, committed.
    assert costs.edit.writes + costs.running.writes * costs.edit_s[0] > 5
    assert costs.front_end.cpu_s + costs.worker.cpu_s > 0
    assert costs.bytes_per_edit > 500


def test_redis_benchmark_loads_a_server_of_the_same_configuration(tmp_path: Path) -> None:
    if shutil.which("redis-benchmark") is None:
        with pytest.raises(FileNotFoundError, match="redis-tools"):
            benchmark_redis(tmp_path / "r", 10)
        return
    found = benchmark_redis(tmp_path / "r", 2000)
    assert found.writes_per_s > 0
    assert found.writes_per_cpu_s > 0
