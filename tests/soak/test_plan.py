from __future__ import annotations

import json
from collections import Counter

from tests.soak.plan import CALM_KILLS, FULL, ON_WORKER, OUTAGES, SHORT, Fault, Plan, clock_skew_s, schedule, short


def test_full_plan_contains_the_documented_faults() -> None:
    plan = Plan()
    assert plan.jobs >= 1000
    assert FULL[Fault.KILL_WORKER] >= 100
    assert FULL[Fault.KILL_FRONT] >= 50
    assert FULL[Fault.KILL_REDIS] >= 10
    assert FULL[Fault.STOP_WORKER] >= 20
    assert set(FULL) == set(SHORT) == set(Fault)
    for each in (plan, short()):
        assert each.recovery_s <= min(30, 2 * each.lease_s)
        # A stopped worker wakes up as a zombie, and is not ended by its watchdog.
        assert max(event.lasts_s for event in schedule(each) if event.fault is Fault.STOP_WORKER) < each.watchdog_s


def test_same_seed_gives_same_schedule() -> None:
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


def test_last_kills_happen_without_other_faults_during_an_edit() -> None:
    for plan in (Plan(), short(), short(seed=2)):
        *before, first, last = schedule(plan)
        assert len((first, last)) == CALM_KILLS
        assert all(event.calm and event.busy and event.fault is Fault.KILL_WORKER for event in (first, last))
        assert not any(event.calm for event in before)
    assert not OUTAGES & {Fault.KILL_WORKER, Fault.KILL_REAPER}


def test_some_workers_get_a_wrong_clock() -> None:
    assert len({clock_skew_s(Plan(), start) for start in range(50)}) == 3
