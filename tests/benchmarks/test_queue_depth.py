from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from benchmarks.queue_depth import inside_redis, measure, quantiles, site


def test_both_services_are_asked_in_turns_and_keep_their_depth(tmp_path: Path) -> None:
    with ExitStack() as stack:
        sites = [stack.enter_context(site(tmp_path / str(depth), depth)) for depth in (0, 3)]
        for each in sites:
            each.redis.config_resetstat()
        taken = measure(sites, repeats=2, seed=0)
        assert {name: {depth: len(values) for depth, values in by.items()} for name, by in taken.items()} == {
            call: {0: 2, 3: 2} for call in ("submit", "status", "cancel")
        }
        for each in sites:
            assert inside_redis(each)["lpos"] > 0
            assert each.redis.llen("rq:queue:magedit:demo") == each.depth


def test_quantiles() -> None:
    found = quantiles([float(value) for value in range(1, 101)])
    assert (found["p50"], found["n"]) == (50.5, 100)
    assert 99 <= found["p99"] <= 100
