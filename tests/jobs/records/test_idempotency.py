"""One edit per key: every order in which requests, leases and records can meet."""

from __future__ import annotations

import threading

import pytest

from jobs import keys
from jobs.errors import JobExpired, KeyInUse, KeyReused, QueueFull
from jobs.records.idempotency import IdempotencyKeys, Reservation
from jobs.records.store import Records
from jobs.schema import JobRecord, new_id
from tests.jobs.conftest import Desk

LEASE_S = 60.0


def keys_of(desk: Desk, lease_s: float = LEASE_S) -> IdempotencyKeys:
    return IdempotencyKeys(desk.redis, desk.settings.model_copy(update={"idempotency_lease_s": lease_s}))


def reserve(held: IdempotencyKeys, key: str = "k", fingerprint: str = "f", job_id: str | None = None) -> Reservation:
    reservation = held.reserve("acme", key, fingerprint, job_id or new_id())
    assert isinstance(reservation, Reservation)
    return reservation


def create(desk: Desk, reservation: Reservation) -> JobRecord:
    record = desk.record(tenant="acme").model_copy(update={"id": reservation.id})
    return desk.records.create(record, reservation=reservation)


def edits(desk: Desk) -> list[str]:
    return [record.id for record in desk.records.list("acme").records]


def lapse(desk: Desk, within_s: float = LEASE_S) -> None:
    """Let what is kept for ``within_s`` at most run out, as its time to live does."""
    held = desk.redis.keys(keys.IDEMPOTENCY + "*")
    assert held
    assert all(0 < desk.redis.pttl(each) <= 1000 * within_s for each in held)
    desk.redis.delete(*held)


def test_a_bound_key_returns_its_edit(desk: Desk) -> None:
    held = keys_of(desk)
    reservation = reserve(held)
    record = create(desk, reservation)
    assert record.id == reservation.id
    assert create(desk, reservation) == record  # the answer was lost
    for _ in range(2):
        assert held.reserve("acme", "k", "f", new_id()) == record.id
    assert desk.records.bound(record.id, "acme").id == record.id
    with pytest.raises(KeyReused):
        held.reserve("acme", "k", "other payload", new_id())
    assert edits(desk) == [record.id]


def test_tenants_and_keys_are_independent(desk: Desk) -> None:
    held = keys_of(desk)
    create(desk, reserve(held))
    assert isinstance(held.reserve("other", "k", "f", new_id()), Reservation)
    assert isinstance(held.reserve("acme", "k2", "f", new_id()), Reservation)


def test_second_request_is_rejected_while_the_first_runs(desk: Desk) -> None:
    held = keys_of(desk)
    first = reserve(held)
    assert reserve(held, job_id=first.id) == first  # the answer was lost
    with pytest.raises(KeyInUse) as busy:
        held.reserve("acme", "k", "f", new_id())
    assert 1 <= busy.value.retry_after_s <= 2
    with pytest.raises(KeyReused):
        held.reserve("acme", "k", "other payload", new_id())


def test_a_dead_request_blocks_its_key_for_the_lease(desk: Desk) -> None:
    held = keys_of(desk)
    dead = reserve(held)
    with pytest.raises(KeyInUse):
        reserve(held)
    lapse(desk)
    second = reserve(held)
    assert second.id != dead.id
    assert create(desk, second).id == second.id
    assert edits(desk) == [second.id]


@pytest.mark.parametrize("late_first", [True, False])
def test_of_two_that_both_go_on_the_first_to_bind_wins(desk: Desk, late_first: bool) -> None:
    held = keys_of(desk)
    late = reserve(held)
    lapse(desk)
    second = reserve(held)
    winner, loser = (late, second) if late_first else (second, late)
    assert create(desk, winner).id == winner.id
    assert create(desk, loser).id == winner.id
    held.release(loser)
    assert held.reserve("acme", "k", "f", new_id()) == winner.id
    assert edits(desk) == [winner.id]


def test_late_request_with_another_payload_is_rejected(desk: Desk) -> None:
    held = keys_of(desk)
    late = reserve(held, fingerprint="before")
    lapse(desk)
    create(desk, reserve(held, fingerprint="after"))
    with pytest.raises(KeyReused):
        create(desk, late)
    assert len(edits(desk)) == 1


def test_a_late_request_binds_a_free_key(desk: Desk) -> None:
    held = keys_of(desk)
    late = reserve(held)
    lapse(desk)
    record = create(desk, late)
    assert held.reserve("acme", "k", "f", new_id()) == record.id


def test_an_edit_that_was_deleted_is_not_made_again(desk: Desk) -> None:
    held = keys_of(desk)
    late = reserve(held)
    lapse(desk)
    record = create(desk, reserve(held))
    desk.records.delete(record.id)
    with pytest.raises(JobExpired, match=record.id):
        create(desk, late)
    assert held.reserve("acme", "k", "f", new_id()) == record.id
    with pytest.raises(JobExpired):
        desk.records.bound(record.id, "acme")
    assert edits(desk) == []


def test_a_refused_request_frees_its_key_and_no_other(desk: Desk) -> None:
    held = keys_of(desk)
    first = reserve(held)
    held.release(first)
    held.release(first)
    second = reserve(held, fingerprint="corrected")
    held.release(first)  # late: the key is another's by now
    with pytest.raises(KeyInUse):
        reserve(held, fingerprint="corrected")
    record = create(desk, second)
    held.release(second)
    assert held.reserve("acme", "k", "corrected", new_id()) == record.id


def test_a_key_without_a_record_is_not_bound(desk: Desk) -> None:
    held = keys_of(desk)
    full = Records(desk.redis, desk.settings.model_copy(update={"queue_limit": 1}))
    create(desk, reserve(held, "other"))
    reservation = reserve(held)
    record = desk.record(tenant="acme").model_copy(update={"id": reservation.id})
    with pytest.raises(QueueFull):
        full.create(record, reservation=reservation)
    with pytest.raises(KeyInUse):
        reserve(held)


def test_concurrent_requests_create_one_edit(desk: Desk) -> None:
    held = keys_of(desk, lease_s=0.02)  # shorter than what follows: leases end in the middle
    answers: list[str] = []

    def request() -> None:
        while True:
            try:
                found = held.reserve("acme", "k", "f", new_id())
            except KeyInUse:
                continue
            answers.append(found if isinstance(found, str) else create(desk, found).id)
            return

    threads = [threading.Thread(target=request) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert set(answers) == set(edits(desk))
    assert len(edits(desk)) == 1


def test_a_key_stands_for_its_edit_for_a_while(desk: Desk) -> None:
    short = Records(desk.redis, desk.settings.model_copy(update={"idempotency_ttl_s": 600.0}))
    held = keys_of(desk)
    reservation = reserve(held)
    short.create(desk.record(tenant="acme").model_copy(update={"id": reservation.id}), reservation=reservation)
    lapse(desk, 600.0)
    assert isinstance(held.reserve("acme", "k", "another payload", new_id()), Reservation)
