from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobs import keys
from jobs.schema import JobRecord
from jobs.webhooks.deliveries import ClaimedDelivery, Deliveries, Delivery, DeliveryState
from jobs.webhooks.secrets import WebhookSecrets
from tests.conftest import PATIENCE_S, running, wait_until
from tests.jobs.conftest import Desk
from tests.worker.conftest import environment
from tests.worker.webhooks.receiver import Receiver
from worker.webhooks import delivery
from worker.webhooks.delivery import Deliverer


@pytest.fixture
def open_desk(desk: Desk) -> Desk:
    """A service that may call loopback."""
    desk.settings = desk.settings.model_copy(update={"webhook_private": True, "webhook_timeout_s": 5.0})
    return desk


@pytest.fixture
def receiver(open_desk: Desk) -> Iterator[Receiver]:
    """Takes everything that is signed."""
    with Receiver(WebhookSecrets(open_desk.redis).valid("local")[0], lambda _: 204).listening() as receiver:
        yield receiver


@pytest.fixture
def deliverer(open_desk: Desk) -> Deliverer:
    """Without pauses."""
    return Deliverer(open_desk.redis, open_desk.settings, pauses_s=(0, 0, 0, 0))


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "POLL_S", 0.01)


@contextmanager
def delivering(deliverer: Deliverer) -> Iterator[threading.Thread]:
    """The deliverer at work meanwhile, in this thread."""
    stop = threading.Event()
    thread = threading.Thread(target=deliverer.run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


def how(desk: Desk, record: JobRecord) -> Delivery:
    return Deliveries(desk.redis).of(record.id)


def deliver(deliverer: Deliverer, desk: Desk, record: JobRecord) -> Delivery:
    """Make deliveries until this one is over."""
    with delivering(deliverer):
        wait_until(lambda: how(desk, record).state in {DeliveryState.DELIVERED, DeliveryState.FAILED}, what="delivery")
    return how(desk, record)


def test_a_receiver_verifies_the_signature(open_desk: Desk, receiver: Receiver, deliverer: Deliverer) -> None:
    record = open_desk.cancel(webhook_url=receiver.url + "/hook?token=1")
    after = deliver(deliverer, open_desk, record)
    ((message, event),) = receiver.accepted
    assert message == f"msg_{record.id}"
    assert (event["type"], event["data"]["id"]) == ("edit.canceled", record.id)
    assert receiver.paths == ["/hook?token=1"]
    assert after.state is DeliveryState.DELIVERED
    assert [attempt.status for attempt in after.attempts] == [204]


def test_a_rotated_secret_still_verifies(open_desk: Desk, receiver: Receiver, deliverer: Deliverer) -> None:
    WebhookSecrets(open_desk.redis).rotate("local")
    deliver(deliverer, open_desk, open_desk.cancel(webhook_url=receiver.url))
    assert len(receiver.accepted) == 1


@pytest.mark.parametrize("status", [301, 307, 400, 500])
def test_responses_other_than_2xx_are_retried(
    status: int, open_desk: Desk, receiver: Receiver, deliverer: Deliverer
) -> None:
    receiver.answer = lambda number: status if number < 3 else 200
    record = open_desk.cancel(webhook_url=receiver.url)
    assert [attempt.status for attempt in deliver(deliverer, open_desk, record).attempts] == [status, status, 200]
    assert [message for message, _ in receiver.accepted] == [f"msg_{record.id}"]
    assert receiver.paths == ["/"] * 3


def test_status_410_stops_retries(open_desk: Desk, receiver: Receiver, deliverer: Deliverer) -> None:
    receiver.answer = lambda _: 410
    record = open_desk.cancel(webhook_url=receiver.url)
    assert deliver(deliverer, open_desk, record).state is DeliveryState.FAILED
    assert receiver.requests == 1


def test_private_addresses_are_not_called(open_desk: Desk, receiver: Receiver) -> None:
    settings = open_desk.settings.model_copy(update={"webhook_private": False})
    record = open_desk.cancel(webhook_url=receiver.url.replace("http:", "https:"))
    with delivering(Deliverer(open_desk.redis, settings)):
        wait_until(lambda: any(attempt.error for attempt in how(open_desk, record).attempts), what="an attempt")
    (attempt,) = how(open_desk, record).attempts
    assert attempt.error == "the host resolves to an address that is not public"
    assert receiver.requests == 0


def test_deleted_edit_sends_no_webhook(open_desk: Desk, receiver: Receiver, deliverer: Deliverer) -> None:
    record = open_desk.cancel(webhook_url=receiver.url)
    open_desk.redis.delete(keys.EDIT + record.id)
    with delivering(deliverer):
        wait_until(lambda: Deliveries(open_desk.redis).due() == 0, what="the end of the delivery")
    assert receiver.requests == 0


def test_a_killed_deliverer_loses_nothing(open_desk: Desk, receiver: Receiver) -> None:
    """The process dies while the receiver thinks; another makes all deliveries, that one with them."""
    receiver.gate.clear()
    records = [open_desk.cancel(webhook_url=receiver.url) for _ in range(3)]
    command, env = [sys.executable, "-m", "worker.webhooks"], environment(open_desk.settings)
    with running(command, env=env) as process:
        wait_until(lambda: receiver.requests == 3, what="deliveries under way")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    receiver.secret = WebhookSecrets(open_desk.redis).valid("local")[0]
    receiver.answer = lambda number: 200 if number > 3 else 500
    receiver.gate.set()
    for record in records:
        # The lease of the dead one ends.
        open_desk.redis.zadd(keys.WEBHOOKS, {record.id: 0})
    with running(command, env=env) as process:
        wait_until(lambda: len(receiver.accepted) == 3, what="deliveries")
        wait_until(lambda: all(how(open_desk, each).state is DeliveryState.DELIVERED for each in records))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert {message for message, _ in receiver.accepted} == {f"msg_{record.id}" for record in records}
    for record in records:
        first, second = how(open_desk, record).attempts
        assert (first.status, first.seconds, second.status) == (None, None, 200)


def test_worker_delivers_webhooks(open_desk: Desk, receiver: Receiver, spawn: object) -> None:
    assert callable(spawn)
    spawn(webhook_private=True)
    record = open_desk.submit(webhook_url=receiver.url)
    wait_until(lambda: len(receiver.accepted) == 1, what="delivery")
    ((_, event),) = receiver.accepted
    assert event["type"] == "edit.succeeded"
    assert event["data"]["results"][0]["href"] == f"/v1/edits/{record.id}/result/0"


def test_no_error_stops_the_deliverer(open_desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    deliverer = Deliverer(open_desk.redis, open_desk.settings)
    failed, claim = threading.Event(), Deliveries.claim

    def fails_once(self: Deliveries, most: int) -> tuple[ClaimedDelivery, ...]:
        if failed.is_set():
            return claim(self, most)
        failed.set()
        raise ValueError("a bug")

    monkeypatch.setattr(Deliveries, "claim", fails_once)
    open_desk.cancel(webhook_url=receiver.url)
    with delivering(deliverer) as thread:
        wait_until(lambda: len(receiver.accepted) == 1 or not thread.is_alive(), what="delivery")
    assert failed.is_set()
    assert len(receiver.accepted) == 1


def test_a_record_of_another_version_is_tried_again_later(
    open_desk: Desk, receiver: Receiver, deliverer: Deliverer
) -> None:
    foreign, record = (open_desk.cancel(webhook_url=receiver.url) for _ in range(2))
    open_desk.redis.hset(keys.EDIT + foreign.id, "field_of_tomorrow", "1")
    with delivering(deliverer):
        wait_until(lambda: len(receiver.accepted) == 1, what="delivery")
        wait_until(lambda: bool(how(open_desk, foreign).attempts), what="an attempt")
    assert [message for message, _ in receiver.accepted] == [f"msg_{record.id}"]
    assert how(open_desk, foreign).state is DeliveryState.PENDING
