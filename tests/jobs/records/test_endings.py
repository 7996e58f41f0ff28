"""Deadlines, cancellation and deletion of records."""

from __future__ import annotations

import pytest

from jobs import keys
from jobs.errors import (
    AlreadyFinished,
    JobNotFound,
)
from jobs.records.outcomes import Hold
from jobs.schema import State
from tests.jobs.conftest import Desk, lapse, open_ids, pass_deadline
from tests.jobs.records.claims import HALF, MEASURES, RESULT, claimed


def test_a_deadline_counts_from_acceptance(desk: Desk) -> None:
    record = desk.records.create(desk.record(deadline_s=90))
    assert record.deadline_at == pytest.approx(record.created_at + 90, abs=1e-5)
    assert desk.records.create(record) == record
    assert desk.records.create(desk.record()).deadline_at is None
    assert desk.redis.zrange(keys.DEADLINES, 0, -1) == [record.id.encode()]
    assert desk.records.fail_overtime() == ()


def test_edit_is_not_started_after_its_deadline(desk: Desk) -> None:
    record = desk.submit(deadline_s=60)
    pass_deadline(desk, record)
    assert desk.records.claim(record.id, "w1") is None
    failed = desk.get(record)
    assert failed.problem is not None
    assert (failed.state, failed.problem.code, failed.attempt) == (State.FAILED, "deadline", 0)
    assert desk.redis.zcard(keys.DEADLINES) == 0
    assert open_ids(desk.records) == set()


def test_an_edit_that_began_in_time_may_finish(desk: Desk) -> None:
    claim = desk.records.claim(desk.submit(deadline_s=60).id, "w1")
    assert claim is not None
    pass_deadline(desk, claim)
    assert desk.records.fail_overtime() == ()
    assert desk.records.claim(claim.id, "w1") == desk.get(claim)  # its answer was lost
    assert desk.records.renew(claim, HALF) is Hold.KEPT
    assert desk.records.commit_success(claim, MEASURES, [RESULT]) is State.SUCCEEDED


def test_an_edit_handed_back_after_its_deadline_fails(desk: Desk) -> None:
    claims = [desk.records.claim(desk.submit(deadline_s=60).id, "w1") for _ in range(2)]
    for claim in claims:
        assert claim is not None
        pass_deadline(desk, claim)
    late, canceled = claims
    assert late is not None
    assert canceled is not None
    desk.records.request_cancel(canceled.id)
    assert desk.queue.hand_back(late) is State.FAILED
    assert desk.queue.hand_back(canceled) is State.CANCELED
    assert desk.queue.waiting("demo") == set()


def test_deleting_forgets_the_deadline(desk: Desk) -> None:
    record = desk.submit(deadline_s=60)
    desk.records.delete(record.id)
    assert desk.redis.zcard(keys.DEADLINES) == 0


def test_unsuccessful_hand_back_counts_as_an_attempt(desk: Desk) -> None:
    record = desk.submit()
    for attempt in (1, 2):
        claim = desk.records.claim(record.id, f"w{attempt}")
        assert claim is not None
        assert desk.queue.hand_back(claim, counts=True) is State.QUEUED
    assert desk.get(record).handed_back == 0
    assert desk.records.claim(record.id, "w3") is None
    assert desk.is_in(record, State.FAILED)


def test_queued_edit_is_canceled_immediately(desk: Desk) -> None:
    record = desk.submit()
    assert desk.records.request_cancel(record.id)
    assert not desk.records.request_cancel(record.id)
    assert desk.is_in(record, State.CANCELED)
    assert desk.records.claim(record.id, "w1") is None


def test_cancel_while_running_reaches_the_worker_and_wins(desk: Desk) -> None:
    claim = claimed(desk)
    assert desk.records.request_cancel(claim.id)
    assert desk.is_in(claim, State.RUNNING)
    assert desk.records.renew(claim, HALF) is Hold.CANCEL
    assert desk.records.commit_success(claim, MEASURES, [RESULT]) is State.CANCELED
    canceled = desk.get(claim)
    assert (canceled.results, canceled.measures) == ((), None)
    assert not desk.records.request_cancel(claim.id)


def test_cancel_of_an_edit_whose_worker_died(desk: Desk) -> None:
    claim = claimed(desk)
    desk.queue.remove(claim)
    desk.records.request_cancel(claim.id)
    lapse(desk, claim)
    assert desk.queue.requeue(claim) is State.CANCELED
    assert desk.queue.depth("demo") == 0


def test_finished_or_missing_edit_cannot_be_canceled(desk: Desk) -> None:
    claim = claimed(desk)
    desk.records.commit_success(claim, MEASURES, [])
    with pytest.raises(AlreadyFinished, match="succeeded"):
        desk.records.request_cancel(claim.id)
    with pytest.raises(JobNotFound):
        desk.records.request_cancel("0" * 32)


def test_delete_leaves_nothing_and_takes_the_claim_away(desk: Desk) -> None:
    claim = claimed(desk)
    desk.queue.remove(claim)
    assert desk.records.delete(claim.id)
    assert not desk.records.delete(claim.id)
    assert desk.records.renew(claim) is Hold.LOST
    assert desk.records.commit_success(claim, MEASURES, []) is None
    assert desk.records.list("local").records == ()
    assert [key for key in desk.redis.keys("*") if claim.id.encode() in key] == []
