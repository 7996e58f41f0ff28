from __future__ import annotations

from tests.soak.evidence.aof import Attempt, Life
from tests.soak.evidence.recovery import AFTERMATH_S, hangs, outages, recoveries, summary
from tests.soak.plan import Fault


def kill(t: float, pid: int = 7) -> dict[str, object]:
    return {"what": "fault", "t": t, "number": int(t), "fault": Fault.KILL_WORKER, "pid": pid}


def outage(begin: float, end: float) -> list[dict[str, object]]:
    return [
        {"what": "fault", "t": begin, "number": 99, "fault": Fault.KILL_REDIS, "pid": 1},
        {"what": "undone", "t": end, "number": 99, "fault": Fault.KILL_REDIS},
    ]


LIFE = Life(attempts=[Attempt(1, "host-7-ab", 10.0), Attempt(2, "host-8-cd", 16.0)], finished_at=[17.0])


def test_recovery_time_is_from_kill_to_next_start() -> None:
    (found,) = recoveries([kill(11.0)], {"a": LIFE})
    assert (found.id, found.seconds, found.excused) == ("a", 5.0, False)


def test_edit_without_restart_recovers_at_its_end() -> None:
    life = Life(attempts=LIFE.attempts[:1], finished_at=[13.0])
    assert [each.seconds for each in recoveries([kill(11.0)], {"a": life})] == [2.0]


def test_edit_not_held_by_the_killed_worker_does_not_count() -> None:
    assert recoveries([kill(9.0)], {"a": LIFE}) == []  # not yet begun
    assert recoveries([kill(16.5)], {"a": LIFE}) == []  # another has it
    assert recoveries([kill(11.0, pid=8)], {"a": LIFE}) == []
    assert recoveries([kill(18.0, pid=8)], {"a": LIFE}) == []  # finished


def test_concurrent_or_recent_outage_marks_recovery_as_disturbed() -> None:
    assert recoveries([*outage(12.0, 13.0), kill(11.0)], {"a": LIFE})[0].excused
    assert recoveries([*outage(8.0, 10.0), kill(11.0)], {"a": LIFE})[0].excused
    assert not recoveries([*outage(5.0, 6.0), kill(11.0)], {"a": LIFE})[0].excused
    assert not recoveries([*outage(16.1, 17.0), kill(11.0)], {"a": LIFE})[0].excused


def test_low_priority_waits_for_others() -> None:
    assert recoveries([kill(11.0)], {"a": LIFE}, low={"a"})[0].excused


def test_open_outage_lasts_until_the_end() -> None:
    assert outages(outage(1.0, 2.0)[:1]) == [(1.0, float("inf"))]


def test_time_between_two_runs_is_excluded() -> None:
    last, run, up = {"what": "seen", "t": 3.0}, {"what": "run", "t": 5.0}, {"what": "up", "t": 7.0}
    assert outages([last, run]) == [(3.0, float("inf"))]
    assert outages([last, run, up]) == [(3.0, 7.0 + AFTERMATH_S)]
    assert outages([outage(1.0, 2.0)[0], last, run, up]) == [(1.0, 7.0 + AFTERMATH_S)]
    assert recoveries([kill(11.0), {**run, "t": 12.0}, {**up, "t": 13.0}], {"a": LIFE})[0].excused


def test_hang_lasts_until_the_watchdog_exits() -> None:
    hung = {"what": "hung", "t": 1.0, "pid": 7}

    def death(status: int) -> dict[str, object]:
        return {"what": "death", "t": 16.0, "pid": 7, "status": status}

    assert hangs([hung, death(75)]) == [15.0]
    assert hangs([hung, death(-9)]) == []
    assert hangs([hung]) == [float("inf")]


def test_summary() -> None:
    assert summary([3.0, 1.0, 2.0]) == {"count": 3, "median_s": 2.0, "max_s": 3.0}
    assert summary([]) == {"count": 0}
