"""Previews live beside the record, and no longer than the attempt that made them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs import keys
from jobs.records.outcomes import Hold
from jobs.records.previews import PREVIEW_TTL_S, EditPreview, Previews
from jobs.schema import JobRecord, Problem, State
from jobs.settings import Settings
from tests.jobs.conftest import Desk

SEEN = EditPreview(image=b"\xff\xd8\x00jpeg", result=1, step=3, steps=50)


@pytest.fixture
def desk(settings: Settings) -> Desk:
    return Desk(settings)


def claimed(desk: Desk) -> JobRecord:
    claim = desk.records.claim(desk.submit().id, "w1")
    assert claim is not None
    return claim


def test_the_latest_is_kept_for_a_while_and_changes_the_revision(desk: Desk) -> None:
    claim, previews = claimed(desk), Previews(desk.redis)
    assert (previews.get(claim.id), previews.number(claim.id)) == (None, 0)
    before = desk.get(claim).revision
    assert desk.records.renew(claim, None, SEEN) is Hold.KEPT
    kept = previews.get(claim.id)
    assert kept == EditPreview(image=SEEN.image, result=1, step=3, steps=50, number=1)
    assert 0 < desk.redis.ttl(keys.PREVIEW + claim.id) <= PREVIEW_TTL_S
    assert desk.get(claim).revision == before + 1
    desk.records.renew(claim, None, EditPreview(image=b"later", result=1, step=4, steps=50))
    later = previews.get(claim.id)
    assert later is not None
    assert (later.image, later.step, later.number, previews.number(claim.id)) == (b"later", 4, 2, 2)


def test_preview_is_not_part_of_the_record(desk: Desk) -> None:
    claim = claimed(desk)
    desk.records.renew(claim, None, SEEN)
    assert SEEN.image not in desk.redis.hgetall(keys.EDIT + claim.id).values()


def test_attempt_without_claim_stores_no_preview(desk: Desk) -> None:
    claim = claimed(desk)
    other = claim.model_copy(update={"worker": "w2"})
    assert desk.records.renew(other, None, SEEN) is Hold.LOST
    assert Previews(desk.redis).get(claim.id) is None


def commit(desk: Desk, claim: JobRecord) -> None:
    problem = Problem(title="no", status=422, detail="no", code="edit_diverged")
    assert desk.records.commit_failure(claim, problem) is State.FAILED


def cancel(desk: Desk, claim: JobRecord) -> None:
    assert desk.records.commit_canceled(claim) is State.CANCELED


def hand_back(desk: Desk, claim: JobRecord) -> None:
    assert desk.queue.hand_back(claim) is State.QUEUED


def delete(desk: Desk, claim: JobRecord) -> None:
    assert desk.records.delete(claim.id)


@pytest.mark.parametrize("end", [commit, cancel, hand_back, delete])
def test_preview_is_removed_with_the_attempt(desk: Desk, end: Callable[[Desk, JobRecord], None]) -> None:
    claim = claimed(desk)
    desk.records.renew(claim, None, SEEN)
    end(desk, claim)
    assert Previews(desk.redis).get(claim.id) is None
