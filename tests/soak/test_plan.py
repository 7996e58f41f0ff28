from __future__ import annotations

import json
from collections import Counter

from tests.soak.plan import FULL, ON_WORKER, Fault, Plan, clock_skew_s, schedule


def test_the_full_plan_has_what_is_claimed_of_it() -> None:
    plan = Plan()
    assert plan.jobs >= 1000
    assert FULL[Fault.KILL_WORKER] >= 100
    assert FULL[Fault.KILL_FRONT] >= 50
    assert FULL[Fault.KILL_REDIS] >= 10
    assert FULL[Fault.STOP_WORKER] >= 20
    assert set(FULL) == set(Fault)
    assert plan.recovery_s <= 2 * plan.lease_s


def test_a_seed_gives_one_schedule() -> None:
    plan = Plan(seed=3)
    events = schedule(plan)
    assert events == schedule(Plan.from_json(json.loads(json.dumps(plan.to_json()))))
    assert events != schedule(Plan(seed=4))
    assert Counter(event.fault for event in events) == plan.faults
    assert [event.number for event in events] == list(range(len(events)))
    for event in events:
        assert event.slot < (plan.workers if event.fault in ON_WORKER else plan.front_ends)
        assert plan.pause_s[0] <= event.after_s <= plan.pause_s[1]
        if event.fault is Fault.STOP_WORKER:
            assert event.lasts_s > plan.lease_s


def test_some_clocks_are_wrong() -> None:
    assert len({clock_skew_s(Plan(), start) for start in range(50)}) == 3
