"""The checker finds nothing in a good history, and each forgery by its name."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from jobs.schema import EditRequest, JobRecord, Problem, State, StoredObject
from magedit.config import EditConfig, Region
from tests.jobs.conftest import aged
from tests.soak.evidence.aof import Life
from tests.soak.evidence.census import Census
from tests.soak.evidence.checker import MARKER_SCALE, RULES, SWEPT_WITHIN_S, Evidence, check, marker_of, orphans
from tests.soak.evidence.journal import Line

MAX_ATTEMPTS = 3
GOOD, CANCELED, FAILED = "a" * 32, "b" * 32, "c" * 32
OTHER = "d" * 32
TOLD_AT = "2026-01-01T00:00:00Z"
AT = 1767225600.0

Forge = Callable[[Evidence], None]


def record(edit_id: str, state: State, marker: int, **fields: Any) -> JobRecord:
    request = EditRequest(
        model="demo",
        source_prompt="a room",
        target_prompt="a red room",
        regions=(Region(words=("red",)),),
        config=EditConfig(null_text_learning_rate=marker / MARKER_SCALE),
    )
    return JobRecord(
        id=edit_id,
        tenant="local",
        request=request,
        image=f"local/{edit_id}/input/image.png",
        masks=(f"local/{edit_id}/input/mask-0.png",),
        state=state,
        attempt=1,
        finished_at=AT,
        **fields,
    )


def result(edit_id: str, sha256: str = "5" * 64) -> StoredObject:
    key = f"local/{edit_id}/1/result-0.png"
    return StoredObject(name="result-0.png", key=key, content_type="image/png", size=5, sha256=sha256)


def seen(edit_id: str, state: State, **fields: object) -> Line:
    sha256 = ["5" * 64] if state is State.SUCCEEDED else []
    told = {"state": state, "attempt": 1, "finished_at": TOLD_AT, "sha256": sha256}
    return {"what": "seen", "t": AT, "id": edit_id, **told, **fields}


def life(end: State, committed: int = 0) -> Life:
    return Life(states=["queued", "running", end], committed=committed, finished_at=[AT])


@pytest.fixture
def evidence() -> Evidence:
    """Of two edits that succeeded, one that was canceled, one whose workers all died."""
    died = Problem(title="x", status=500, detail="x", code="worker_lost")
    records = [
        record(GOOD, State.SUCCEEDED, 1, results=(result(GOOD),)),
        record(OTHER, State.SUCCEEDED, 4, results=(result(OTHER),)),
        record(CANCELED, State.CANCELED, 2),
        record(FAILED, State.FAILED, 3, problem=died).model_copy(update={"attempt": MAX_ATTEMPTS}),
    ]
    lines = [
        {"what": "accepted", "t": AT, "id": each.id, "marker": marker_of(each), "variant": "plain"} for each in records
    ]
    lines += [{"what": "sent", "t": AT, "marker": marker_of(each)} for each in records]
    lines += [
        {"what": "cancel", "t": AT, "id": CANCELED, "status": 202},
        {"what": "fetched", "t": AT, "id": GOOD, "good": True},
        {"what": "repeated", "t": AT, "id": GOOD, "marker": 1},
        seen(GOOD, State.RUNNING, finished_at=None, sha256=[]),
        seen(GOOD, State.SUCCEEDED),
        seen(GOOD, State.SUCCEEDED),
        seen(CANCELED, State.CANCELED),
    ]
    lives = {
        GOOD: life(State.SUCCEEDED, 1),
        OTHER: life(State.SUCCEEDED, 1),
        CANCELED: life(State.CANCELED),
        FAILED: life(State.FAILED),
    }
    index = {str(state): {each.id for each in records if each.state is state} for state in State}
    census = Census(
        records={each.id: each for each in records},
        objects={each.id: {each.image, *each.masks, *(stored.key for stored in each.results)} for each in records},
        digests={stored.key: stored.sha256 for each in records for stored in each.results},
        index={"all": {each.id for each in records}, **index},
        at=AT + 1000,
    )
    return Evidence(lines, lives, census, MAX_ATTEMPTS, orphan_s=100.0)


def amend(evidence: Evidence, edit_id: str, **fields: object) -> None:
    evidence.census.records[edit_id] = evidence.census.records[edit_id].model_copy(update=fields)


def lose(evidence: Evidence) -> None:
    del evidence.census.records[GOOD]
    del evidence.lives[GOOD]
    for ids in evidence.census.index.values():
        ids.discard(GOOD)


def stick(evidence: Evidence) -> None:
    amend(evidence, GOOD, state=State.RUNNING)


def answer_twice(evidence: Evidence) -> None:
    evidence.lines.append(dict(evidence.lines[0]))


def submit_twice(evidence: Evidence) -> None:
    amend(evidence, OTHER, request=evidence.census.records[GOOD].request)


def commit_twice(evidence: Evidence) -> None:
    evidence.lives[GOOD].committed = 2


def end_twice(evidence: Evidence) -> None:
    evidence.lives[GOOD].states.append(State.SUCCEEDED)


def jump(evidence: Evidence) -> None:
    evidence.lives[GOOD].states[:] = ["queued", "succeeded"]


def rise_again(evidence: Evidence) -> None:
    evidence.lives[FAILED].states += ["running", "failed"]


def forget_history(evidence: Evidence) -> None:
    del evidence.lives[GOOD]


def change_later(evidence: Evidence) -> None:
    evidence.lines.append(seen(GOOD, State.SUCCEEDED, attempt=2))


def change_unseen(evidence: Evidence) -> None:
    amend(evidence, GOOD, finished_at=AT + 1)


def succeed_after_all(evidence: Evidence) -> None:
    amend(evidence, CANCELED, state=State.SUCCEEDED, results=(result(CANCELED),))


def cancel_unasked(evidence: Evidence) -> None:
    amend(evidence, OTHER, state=State.CANCELED)


def fail_early(evidence: Evidence) -> None:
    amend(evidence, FAILED, attempt=MAX_ATTEMPTS - 1)


def fail_oddly(evidence: Evidence) -> None:
    amend(evidence, FAILED, problem=Problem(title="x", status=500, detail="x", code="internal_error"))


def remove_object(evidence: Evidence) -> None:
    del evidence.census.digests[result(GOOD).key]


def succeed_without(evidence: Evidence) -> None:
    amend(evidence, GOOD, results=())


def damage(evidence: Evidence) -> None:
    evidence.census.digests[result(GOOD).key] = "6" * 64


def swap(evidence: Evidence) -> None:
    evidence.lines.insert(0, {"what": "accepted", "t": AT, "id": "e" * 32, "marker": 5, "variant": "plain"})
    evidence.census.records["e" * 32] = record("e" * 32, State.SUCCEEDED, 5, results=(result("e" * 32, "6" * 64),))


def fetch_wrong(evidence: Evidence) -> None:
    evidence.lines.append({"what": "fetched", "t": AT, "id": GOOD, "good": False})


def leave_lease(evidence: Evidence) -> None:
    evidence.census.leftovers["lease"] = {GOOD}


def drop_from_list(evidence: Evidence) -> None:
    evidence.census.index["all"].discard(GOOD)


def list_wrongly(evidence: Evidence) -> None:
    evidence.census.index[State.RUNNING].add(GOOD)


def answer_oddly(evidence: Evidence) -> None:
    evidence.lines.append({"what": "oops", "t": AT, "detail": "submit: 500"})


def expire(evidence: Evidence, edit_id: str, at: float = AT) -> None:
    """As it should be: the pictures are gone, the lists have it no more."""
    amend(evidence, edit_id, expires_at=at)
    for ids in evidence.census.index.values():
        ids.discard(edit_id)
    for key in evidence.census.objects.pop(edit_id, ()):
        evidence.census.digests.pop(key, None)


def expire_unseen(evidence: Evidence) -> None:
    expire(evidence, OTHER)


def vanish_early(evidence: Evidence) -> None:
    expire(evidence, GOOD, at=evidence.census.at + 1)


def tell_early(evidence: Evidence) -> None:
    amend(evidence, GOOD, expires_at=AT + 5)
    evidence.lines.append({"what": "gone", "t": AT + 4, "id": GOOD})


def keep_too_long(evidence: Evidence) -> None:
    amend(evidence, GOOD, expires_at=evidence.census.at - SWEPT_WITHIN_S - 1)


def leave_orphan(evidence: Evidence) -> None:
    edit_id = aged(time.time() - evidence.census.at + evidence.orphan_s + SWEPT_WITHIN_S + 60)
    evidence.census.objects[edit_id] = {f"local/{edit_id}/input/image.png"}


def record_refused(evidence: Evidence) -> None:
    evidence.lines[:] = [line for line in evidence.lines if line["what"] != "accepted" or line["id"] != OTHER]
    evidence.lines.append({"what": "refused", "t": AT, "marker": 4})


def repeat_otherwise(evidence: Evidence) -> None:
    evidence.lines.append({"what": "repeated", "t": AT, "id": OTHER, "marker": 1})


FORGERIES: dict[Forge, str] = {
    lose: "lost",
    stick: "lost",
    answer_twice: "duplicate",
    submit_twice: "duplicate",
    repeat_otherwise: "repeat",
    commit_twice: "double commit",
    end_twice: "double commit",
    jump: "transition",
    rise_again: "transition",
    forget_history: "transition",
    change_later: "changed",
    change_unseen: "changed",
    succeed_after_all: "canceled",
    cancel_unasked: "canceled",
    fail_early: "failed",
    fail_oddly: "failed",
    remove_object: "missing object",
    succeed_without: "missing object",
    damage: "wrong hash",
    swap: "wrong picture",
    fetch_wrong: "fetch",
    leave_lease: "leftover",
    drop_from_list: "index",
    list_wrongly: "index",
    answer_oddly: "answer",
    expire_unseen: "missing object",
    vanish_early: "missing object",
    tell_early: "expiry",
    keep_too_long: "expiry",
    leave_orphan: "orphan",
    record_refused: "unheard",
}


def test_valid_history_passes(evidence: Evidence) -> None:
    assert check(evidence) == []
    assert orphans(evidence.census) == []


def test_expired_edit_may_be_missing(evidence: Evidence) -> None:
    expire(evidence, GOOD)
    evidence.lines.append({"what": "gone", "t": AT + 1, "id": GOOD})
    assert check(evidence) == []


def test_nothing_is_fetched_while_the_soak_is_down(evidence: Evidence) -> None:
    expire(evidence, OTHER)
    evidence.lines.append({"what": "run", "t": AT + 1, "number": 2})
    assert check(evidence) == []


def test_record_without_a_received_response_is_no_violation(evidence: Evidence) -> None:
    record_refused(evidence)
    evidence.lines.pop()
    assert check(evidence) == []


@pytest.mark.parametrize(("forge", "rule"), FORGERIES.items(), ids=lambda each: getattr(each, "__name__", None))
def test_each_forged_history_is_detected(forge: Forge, rule: str, evidence: Evidence) -> None:
    forge(evidence)
    assert rule in {violation.rule for violation in check(evidence)}


def test_every_rule_has_a_forged_history(evidence: Evidence) -> None:
    found = set()
    for forge in FORGERIES:
        copy = deepcopy(evidence)
        forge(copy)
        found |= {rule for rule in RULES if list(rule(copy))}
    assert found == set(RULES)


def test_objects_of_dead_attempts_are_listed(evidence: Evidence) -> None:
    dead = f"local/{GOOD}/2/result-0.png"
    nobodys = f"local/{'f' * 32}/input/image.png"
    evidence.census.objects[GOOD].add(dead)
    evidence.census.objects["f" * 32] = {nobodys}
    assert sorted(orphans(evidence.census)) == sorted([dead, nobodys])
    assert check(evidence) == []
