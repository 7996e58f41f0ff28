"""One soak: load and faults until both are done, then calm, then the count."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from redis import Redis, RedisError

from jobs import keys
from jobs.errors import StoreUnavailable
from jobs.schema import State
from jobs.storage import ObjectStore, image_key
from tests.jobs.conftest import aged
from tests.soak.evidence import aof, census, journal, recovery
from tests.soak.evidence.checker import SWEPT_WITHIN_S, Evidence, Violation, check, orphans
from tests.soak.load import Load
from tests.soak.nemesis import Nemesis
from tests.soak.plan import Plan, schedule
from tests.soak.stack.fleet import Fleet

TICK_S = 0.1
CALM_TICKS = 5
"""Ticks between two looks at what is unfinished."""

AHEAD = 10
"""By how many edits load and faults may be apart."""

PLANTED = 5
"""Orphans that each run begins with."""

WATCHDOG_SLACK_S = 3.0
"""What noticing the end of a hung process may take beyond the watchdog's time, in seconds."""

ASKED_FOR = frozenset({0, recovery.EXIT_RESTART, -9})
"""Exit statuses that SIGTERM, watchdog and SIGKILL leave."""


class DiskGone(Exception):
    """The pictures of the soak that is to go on are gone, so that it cannot."""


Report = dict[str, Any]
Say = Callable[[str], None]


def run(folder: Path, plan: Plan, say: Say) -> Report:
    """Soak with ``plan``, or go on with what a killed soak left in ``folder``; the report.

    Every figure of the report comes from what is on the disk in the end, not from this process's memory.

    Raises:
        DiskGone: what is left in ``folder`` has lost its pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    begun = folder / "plan.json"
    if begun.exists():
        plan = Plan.from_json(json.loads(begun.read_text()))
    else:
        begun.write_text(json.dumps(plan.to_json()))
    path = folder / "journal.jsonl"
    before = journal.read(path)
    require_disk(folder, before)
    lines = journal.Journal(path)
    runs = len(journal.of(before, "run")) + 1
    lines.write("run", number=runs)
    with Fleet(plan, folder, lines) as fleet:
        lines.write("up")
        lines.write("disk", tmpfs=fleet.disk.can_be_full)
        _plant(plan, fleet, lines)
        say(f"run {runs}: {plan.workers} workers, {plan.front_ends} front ends are up")
        _storm(plan, fleet, journal.read(path), lines, runs, say)
        taken = census.take(fleet.direct)
        max_attempts, can_fill = fleet.direct.max_attempts, fleet.disk.can_be_full
    lines.close()
    evidence = Evidence(
        journal.read(path),
        aof.read(folder / "redis"),
        taken,
        max_attempts,
        _orphan_s(plan),
        SWEPT_WITHIN_S if plan.timed else math.inf,
    )
    report = report_of(plan, evidence) | {"disk_could_be_full": can_fill}
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    if not report["violations"]:
        # Else it is evidence.
        fleet.disk.discard()
    return report


def _orphan_s(plan: Plan) -> float:
    """Age at which the next search that is not disturbed removes an orphan, in seconds."""
    return plan.orphan_age_s + 2 * plan.orphan_interval_s


def _plant(plan: Plan, fleet: Fleet, lines: journal.Journal) -> None:
    """Leave what a front end leaves that died long ago before it wrote the record: it is to be found under fire."""
    store = ObjectStore.from_settings(fleet.direct)
    for _ in range(PLANTED):
        edit_id = aged(_orphan_s(plan) + 2 * SWEPT_WITHIN_S)
        store.put(image_key(census.TENANT, edit_id), b"", "image/png")
        lines.write("planted", id=edit_id)


def require_disk(folder: Path, before: list[journal.Line]) -> None:
    """Raise `DiskGone` if the pictures of earlier runs were on a disk in memory that is there no more."""
    if any(line["tmpfs"] for line in journal.of(before, "disk")) and not (folder / "objects").is_mount():
        raise DiskGone(
            f"{folder / 'objects'}: the pictures of this soak were in memory (tmpfs) and are gone, with a restart of "
            f"the machine or with the soak's end: it cannot go on. Remove {folder} and begin anew"
        )


def _storm(plan: Plan, fleet: Fleet, before: list[journal.Line], lines: journal.Journal, runs: int, say: Say) -> None:
    done = {line["number"] for line in journal.of(before, "fault", "skipped")}
    events = [event for event in schedule(plan) if event.number not in done]
    total = len(events) + len(done)
    nemesis = Nemesis(events, fleet, lines)
    load = Load(fleet.urls, lines, run=runs, seed=plan.seed, cancel_share=plan.cancel_share, max_open=plan.max_open)
    load.remember(before)

    def allowed() -> int:
        # Edits and faults keep step, so that no fault meets an idle service and no edit a peaceful one.
        if not nemesis.left:
            return plan.jobs
        if nemesis.waits_for_calm:
            # These are to meet edits, however long that takes.
            return load.accepted + 1
        return plan.jobs * (total - nemesis.left) // total + AHEAD

    load.allowed = allowed
    load.start()
    deadline = time.monotonic() + plan.limit_s
    told = 0.0
    while (nemesis.left or load.accepted < plan.jobs) and time.monotonic() < deadline:
        fleet.tick()
        nemesis.tick(ready=load.accepted >= plan.jobs * (total - nemesis.left) // total - AHEAD)
        if time.monotonic() - told > 30:
            told = time.monotonic()
            say(f"accepted {load.accepted} of {plan.jobs}, unfinished {load.unfinished}, faults left {nemesis.left}")
        time.sleep(TICK_S)
    complete = not nemesis.left and load.accepted >= plan.jobs
    deadline = time.monotonic() + plan.drain_s
    # What still lasts ends by itself: a stopped worker wakes up, a hung one meets its watchdog.
    while nemesis.lasting and time.monotonic() < deadline:
        _breathe(fleet, nemesis)
    load.stop()
    nemesis.calm()
    say("calm; what is unfinished has its time")
    planted = {line["id"] for line in journal.of(before, "planted")}
    while (load.unfinished or _unsettled(fleet, planted)) and time.monotonic() < deadline:
        for _ in range(CALM_TICKS):
            _breathe(fleet, nemesis)
    load.close()
    lines.write("end", complete=complete)


def _breathe(fleet: Fleet, nemesis: Nemesis) -> None:
    fleet.tick()
    nemesis.tick(ready=False)
    time.sleep(TICK_S)


def _unsettled(fleet: Fleet, planted: set[str]) -> bool:
    """Whether anything speaks of an unfinished edit yet, or a planted orphan has not been found."""
    try:
        with Redis.from_url(fleet.embedded.url, socket_timeout=2.0) as redis:
            if redis.exists(keys.OPEN):
                return True
        store = ObjectStore.from_settings(fleet.direct)
        return bool(census.leftovers(fleet.direct)) or any(store.keys(f"{census.TENANT}/{each}/") for each in planted)
    except (RedisError, StoreUnavailable):
        return True


def report_of(plan: Plan, evidence: Evidence) -> Report:
    """Figures and violations."""
    lines, lives, records = evidence.lines, evidence.lives, evidence.census.records
    violations = check(evidence)
    low = {record.id for record in records.values() if record.priority == "low"}
    recovered = recovery.recoveries(lines, lives, low)
    calm = [each for each in recovered if not each.excused]
    bound_s = plan.recovery_s
    violations += [
        Violation("recovery", each.id, f"ran again {each.seconds:.1f} s after its worker was killed, not {bound_s} s")
        for each in calm
        if each.seconds > bound_s and plan.timed
    ]
    hangs = recovery.hangs(lines)
    violations += [
        Violation("watchdog", "", f"a hung worker ended after {seconds:.1f} s")
        for seconds in hangs
        if math.isinf(seconds) or (seconds > plan.watchdog_s + WATCHDOG_SLACK_S and plan.timed)
    ]
    ends = journal.of(lines, "end")
    if not ends or not ends[-1]["complete"]:
        violations.append(Violation("incomplete", "", f"not done within {plan.limit_s:.0f} s"))
    states = Counter(record.state for record in records.values())
    failures = Counter(record.problem.code for record in records.values() if record.problem)
    left = orphans(evidence.census)
    planted = {line["id"] for line in journal.of(lines, "planted")}
    return {
        "seed": plan.seed,
        "runs": len(journal.of(lines, "run")),
        "seconds": round(math.fsum(b["t"] - a["t"] for a, b in _spans(lines))),
        "faults": dict(sorted(Counter(line["fault"] for line in journal.of(lines, "fault")).items())),
        "faults_skipped": dict(sorted(Counter(line["fault"] for line in journal.of(lines, "skipped")).items())),
        "held_when_killed": len(recovered),
        "submits": len(journal.of(lines, "sent")),
        "accepted": len(journal.of(lines, "accepted")),
        "unknown": len(journal.of(lines, "unknown")),
        "refused": len(journal.of(lines, "refused")),
        "retried_with_key": len(journal.of(lines, "retried")),
        "repeated_with_key": len(journal.of(lines, "repeated")),
        # `accepted` and these are all records.
        "recorded_and_answer_lost": len(records.keys() - {line["id"] for line in journal.of(lines, "accepted")}),
        "records": len(records),
        "expired": sum(evidence.is_expired(record) for record in records.values()),
        "expired_told": len(journal.of(lines, "gone")),
        "states": {state: states[state] for state in State},
        "failures": dict(failures),
        "attempts": dict(sorted(Counter(record.attempt for record in records.values()).items())),
        "looks": len(journal.of(lines, "seen")),
        "fetched": len(journal.of(lines, "fetched")),
        "wrong_clocks": sum(bool(line["skew_s"]) for line in journal.of(lines, "start")),
        "exits_not_asked_for": _odd_exits(lines),
        "recovery": summary_of(recovered),
        "recovery_held_to_the_bound": summary_of(calm) | {"bound_s": bound_s},
        "hangs_ended": recovery.summary(hangs) | {"watchdog_s": plan.watchdog_s},
        "orphans_planted_and_swept": len(planted - evidence.census.objects.keys()),
        "orphan_objects": {"count": len(left), "some": left[:20]},
        "violated": dict(Counter(violation.rule for violation in violations)),
        "violations": [asdict(violation) for violation in violations],
    }


def summary_of(recovered: list[recovery.Recovery]) -> Report:
    """Count, median and maximum of their seconds."""
    return recovery.summary(each.seconds for each in recovered)


def _spans(lines: list[journal.Line]) -> list[tuple[journal.Line, journal.Line]]:
    """First and last line of each run."""
    starts = [number for number, line in enumerate(lines) if line["what"] == "run"]
    return [(lines[begin], lines[end - 1]) for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True)]


def _odd_exits(lines: list[journal.Line]) -> dict[str, int]:
    """Ends of processes that no fault explains, by role and status."""
    odd = Counter(
        f"{line['role']} {line['status']}" for line in journal.of(lines, "death") if line["status"] not in ASKED_FOR
    )
    return dict(odd)
