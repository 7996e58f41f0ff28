from __future__ import annotations

import pytest

from jobs import keys
from jobs.schema import JobRecord, Problem, State
from jobs.webhooks.deliveries import PAUSES_S, ClaimedDelivery, Deliveries, DeliveryState, DeliveryVerdict
from tests.conftest import wait_until
from tests.jobs.conftest import Desk

URL = "https://example.com/hook"


@pytest.fixture
def deliveries(desk: Desk) -> Deliveries:
    """With three attempts and no pauses worth waiting for."""
    return Deliveries(desk.redis, lease_s=0.05, pauses_s=(0, 0.01, 0.01))


def taken(deliveries: Deliveries) -> ClaimedDelivery:
    """The delivery that becomes due next."""
    found: list[ClaimedDelivery] = []

    def one() -> bool:
        found.extend(deliveries.claim(1))
        return bool(found)

    wait_until(one)
    return found[0]


def test_every_terminal_state_triggers_a_delivery(desk: Desk, deliveries: Deliveries) -> None:
    canceled = desk.cancel(webhook_url=URL)
    failed = desk.submit(webhook_url=URL)
    desk.cancel()
    assert deliveries.of(failed.id).state is DeliveryState.WAITING
    claim = desk.records.claim(failed.id, "w")
    assert claim is not None
    problem = Problem(title="t", status=422, detail="d", code="c")
    assert desk.records.commit_failure(claim, problem) is State.FAILED
    assert deliveries.due() == 2
    assert {each.id for each in deliveries.claim(9)} == {canceled.id, failed.id}


def test_a_delivered_webhook_is_not_repeated(desk: Desk, deliveries: Deliveries) -> None:
    record = desk.cancel(webhook_url=URL)
    first = taken(deliveries)
    assert first == (record.id, 1)
    assert deliveries.report(first, DeliveryVerdict.DELIVERED, seconds=0.25, status=204) == "delivered"
    # Its answer lost, the report is sent again.
    assert deliveries.report(first, DeliveryVerdict.DELIVERED, seconds=0.25, status=204) == "delivered"
    delivery = deliveries.of(record.id)
    assert (delivery.state, delivery.next_at) == (DeliveryState.DELIVERED, None)
    (attempt,) = delivery.attempts
    assert (attempt.number, attempt.status, attempt.seconds) == (1, 204, 0.25)
    assert attempt.at == pytest.approx(desk.records.now(), abs=60)
    assert deliveries.claim(9) == ()


def test_failed_deliveries_are_retried_up_to_the_limit(desk: Desk, deliveries: Deliveries) -> None:
    record = desk.cancel(webhook_url=URL)
    for number in (1, 2, 3):
        each = taken(deliveries)
        assert each.number == number
        state = deliveries.report(each, DeliveryVerdict.RETRY, seconds=0.1, error="no answer in 15 s")
        assert state == ("failed" if number == 3 else "pending")
    delivery = deliveries.of(record.id)
    assert delivery.state is DeliveryState.FAILED
    assert [attempt.error for attempt in delivery.attempts] == ["no answer in 15 s"] * 3
    assert deliveries.due() == 0


def test_receiver_can_stop_retries(desk: Desk, deliveries: Deliveries) -> None:
    record = desk.cancel(webhook_url=URL)
    deliveries.report(taken(deliveries), DeliveryVerdict.FAILED, seconds=0.1, status=410)
    assert deliveries.of(record.id).state is DeliveryState.FAILED
    assert deliveries.due() == 0


def test_delivery_of_a_dead_deliverer_is_taken_over(desk: Desk, deliveries: Deliveries) -> None:
    record = desk.cancel(webhook_url=URL)
    first, second = taken(deliveries), taken(deliveries)
    assert (first.number, second.number) == (1, 2)
    # He was only late: what he says of his own attempt is kept, and changes nothing else.
    assert deliveries.report(first, DeliveryVerdict.RETRY, seconds=9, error="late") == "pending"
    assert deliveries.report(second, DeliveryVerdict.DELIVERED, seconds=0.1, status=200) == "delivered"
    assert [each.error for each in deliveries.of(record.id).attempts] == ["late", None]


def test_a_late_success_is_a_success(desk: Desk, deliveries: Deliveries) -> None:
    record = desk.cancel(webhook_url=URL)
    first = taken(deliveries)
    taken(deliveries)
    assert deliveries.report(first, DeliveryVerdict.DELIVERED, seconds=9, status=200) == "delivered"
    assert deliveries.of(record.id).state is DeliveryState.DELIVERED
    assert deliveries.due() == 0


def test_a_delivery_that_kills_its_deliverers_is_given_up(desk: Desk, deliveries: Deliveries) -> None:
    record = desk.cancel(webhook_url=URL)
    for _ in range(3):
        taken(deliveries)
    wait_until(lambda: not deliveries.claim(1) and deliveries.due() == 0)
    delivery = deliveries.of(record.id)
    assert delivery.state is DeliveryState.FAILED
    assert [(each.seconds, each.status) for each in delivery.attempts] == [(None, None)] * 3


@pytest.mark.parametrize("end", ["delete", "bury"])
def test_a_removed_edit_takes_its_delivery_along(end: str, desk: Desk, deliveries: Deliveries) -> None:
    record: JobRecord = desk.cancel(webhook_url=URL)
    first = taken(deliveries)
    getattr(desk.records, end)(record.id)
    assert deliveries.due() == 0
    assert deliveries.report(first, DeliveryVerdict.RETRY, seconds=0.1, error="x") == "gone"
    assert not desk.redis.exists(keys.WEBHOOK + record.id)


def test_retry_delays_grow() -> None:
    assert PAUSES_S[0] == 0
    assert list(PAUSES_S) == sorted(PAUSES_S)
