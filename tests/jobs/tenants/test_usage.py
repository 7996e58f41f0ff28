"""What a tenant has used: each edit counted once, in the month by the clock of Redis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobs import keys
from jobs.errors import QuotaExhausted, TooManyUnfinished
from jobs.lua import load
from jobs.schema import JobRecord, MaskRecord, MaskRequest, Problem
from jobs.tenants.limits import Limits
from jobs.tenants.usage import Counts, UsageCounts, bounds
from magedit.config import EditConfig
from magedit.measures.report import EditMeasures
from tests.jobs.conftest import Desk, lapse

COST = EditMeasures(unet_forward=100, unet_truncated_forward=40, unet_backward=5)
PROBLEM = Problem(title="t", status=500, detail="d", code="c")


@pytest.fixture
def counts(desk: Desk) -> UsageCounts:
    return UsageCounts(desk.redis)


def claimed(desk: Desk, tenant: str = "acme") -> JobRecord:
    """An edit of the tenant that a worker holds."""
    record = desk.records.create(desk.record(tenant=tenant))
    claim = desk.records.claim(record.id, "w1")
    assert claim is not None
    return claim


def test_every_way_to_end_is_counted_once(desk: Desk, counts: UsageCounts) -> None:
    succeeds, fails, is_canceled = (claimed(desk) for _ in range(3))
    waits, is_deleted = (desk.records.create(desk.record(tenant="acme")) for _ in range(2))
    for _ in range(2):  # as if each answer had been lost
        desk.records.create(waits)
        desk.records.commit_success(succeeds, COST, [])
        desk.records.commit_failure(fails, PROBLEM)
        desk.records.request_cancel(is_canceled.id)
        desk.records.commit_canceled(is_canceled)
        desk.records.delete(is_deleted.id)
    desk.records.delete(succeeds.id)
    month, counted, unfinished = counts.of("acme")
    assert month == datetime.fromtimestamp(desk.records.now(), UTC).strftime("%Y-%m")
    assert counted.seconds > 0
    assert counted.model_copy(update={"seconds": 0.0}) == Counts(
        accepted=5, succeeded=1, failed=1, canceled=2, unet_passes=145
    )
    assert unfinished == 1
    assert counts.of("other").counts == Counts()


def test_masks_are_counted_separately_from_edits(desk: Desk, counts: UsageCounts) -> None:
    mask = MaskRecord(tenant="acme", request=MaskRequest(model="demo", words="sofa"), image="image")
    desk.records.create(mask)
    claim = desk.records.claim(mask.id, "w1")
    assert claim is not None
    desk.records.commit_failure(claim, PROBLEM)
    assert counts.of("acme").counts == Counts(masks=1)


def test_dead_worker_counts_as_one_failure(desk: Desk, counts: UsageCounts) -> None:
    claim = claimed(desk)
    for attempt in range(desk.settings.max_attempts):
        lapse(desk, claim)
        desk.queue.remove(claim)
        desk.queue.requeue(claim)
        desk.records.claim(claim.id, f"w{attempt}")
    counted = counts.of("acme").counts
    assert (counted.accepted, counted.failed, counted.unet_passes) == (1, 1, 0)


def test_unfinished_edits_are_limited(desk: Desk) -> None:
    limits = Limits(unfinished=2)
    first, second = desk.record(tenant="acme"), desk.record(tenant="acme")
    for record in (first, second, second):  # the last is a repetition
        desk.records.create(record, limits=limits)
    with pytest.raises(TooManyUnfinished, match="2 unfinished"):
        desk.records.create(desk.record(tenant="acme"), limits=limits)
    desk.records.create(desk.record(tenant="other"), limits=limits)
    assert desk.records.claim(first.id, "w1") is not None
    with pytest.raises(TooManyUnfinished):
        desk.records.create(desk.record(tenant="acme"), limits=limits)
    desk.records.request_cancel(second.id)
    desk.records.create(desk.record(tenant="acme"), limits=limits)


def test_the_quota_counts_succeeded_edits(desk: Desk, counts: UsageCounts) -> None:
    limits = Limits(unet_passes_per_month=145)
    fails, succeeds = claimed(desk), claimed(desk)
    desk.records.commit_failure(fails, PROBLEM)
    late = desk.records.create(desk.record(tenant="acme"), limits=limits)
    desk.records.commit_success(succeeds, COST, [])
    refused = desk.record(tenant="acme")
    with pytest.raises(QuotaExhausted, match="145"):
        desk.records.create(refused, limits=limits)
    assert desk.records.get(refused.id) is None
    assert counts.of("acme").counts.accepted == 3
    # What was accepted before goes on, and another tenant has its own.
    assert desk.records.claim(late.id, "w1") is not None
    desk.records.create(desk.record(tenant="other"), limits=limits)


def test_further_results_need_passes_that_are_left(desk: Desk, counts: UsageCounts) -> None:
    desk.records.commit_success(claimed(desk), COST, [])
    used = counts.of("acme").counts.unet_passes
    several = EditConfig(steps=10, n=2, sweep=(0.5, 1.0))
    for left, accepted in ((31, True), (30, False)):
        limits = Limits(unet_passes_per_month=used + left)
        record = desk.record(tenant="acme", config=several)
        if accepted:
            assert desk.records.create(record, limits=limits).id == record.id
            continue
        with pytest.raises(QuotaExhausted, match="fewer are left than the 30"):
            desk.records.create(record, limits=limits)
    with pytest.raises(QuotaExhausted, match="fewer are left than the 30"):
        desk.records.create(desk.record(tenant="other", config=several), limits=Limits(unet_passes_per_month=29))


def test_months_by_the_calendar(desk: Desk) -> None:
    firsts = [datetime(year, month, 1, tzinfo=UTC) for year in (1999, 2000, 2026, 2028, 2100) for month in range(1, 13)]
    days = [*firsts, *(first - timedelta(seconds=1) for first in firsts)]
    script = load("tenants/usage") + "return month(tonumber(ARGV[1]))"
    months = [desk.redis.eval(script, 0, each.timestamp()).decode() for each in days]
    assert months == [each.strftime("%Y-%m") for each in days]
    assert bounds("2028-02") == (datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC))


def test_old_months_are_removed(desk: Desk, counts: UsageCounts) -> None:
    claimed(desk)
    month = counts.of("acme").month
    kept_s = timedelta(days=400).total_seconds()
    assert kept_s - 3600 < desk.redis.ttl(f"{keys.USAGE}acme:{month}") <= kept_s
    assert counts.of("acme", "2001-01").counts == Counts()
