from __future__ import annotations

import threading
import time

import pytest
from redis.client import Pipeline
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from jobs import keys
from jobs.queue import TASK, queue_name
from jobs.schema import State
from tests.conftest import PATIENCE_S, wait_until
from tests.jobs.conftest import Desk


def test_first_come_first_served(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit()
    assert [desk.queue.position(first), desk.queue.position(second)] == [0, 1]
    assert desk.queue.depth("demo") == 2
    assert desk.line() == [first.id, second.id]
    assert desk.queue.models() == {"demo"}


def test_enqueuing_is_idempotent(desk: Desk) -> None:
    record = desk.submit()
    desk.queue.enqueue(record)
    assert desk.queue.depth("demo") == 1


def test_each_model_has_a_queue(desk: Desk) -> None:
    other = desk.submit(model="other")
    assert desk.queue.depth("demo") == 0
    assert desk.queue.position(other) == 0


def test_rq_job_carries_only_the_id(desk: Desk) -> None:
    record = desk.submit()
    job = Job.fetch(record.id, connection=desk.redis, serializer=JSONSerializer)
    assert (job.func_name, job.args, job.kwargs, job.timeout, job.ttl) == (TASK, [record.id], {}, -1, None)
    assert queue_name("demo") in {queue.name for queue in Queue.all(connection=desk.redis)}


def test_only_queued_edits_have_a_position(desk: Desk) -> None:
    record = desk.submit()
    desk.records.request_cancel(record.id)
    assert desk.queue.position(desk.get(record)) is None


def test_many_positions_take_one_round_trip(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    low = [desk.submit(priority="low") for _ in range(2)]
    normal = [desk.submit() for _ in range(3)]
    canceled, lost = desk.cancel(), desk.submit()
    for gone in (canceled, lost):
        desk.queue.remove(gone)
    records = [*low, canceled, *normal, lost]
    trips: list[int] = []
    execute = Pipeline.execute

    def counted(self: Pipeline, raise_on_error: bool = True) -> list[object]:
        trips.append(1)
        return execute(self, raise_on_error)

    monkeypatch.setattr(Pipeline, "execute", counted)
    assert desk.queue.positions(records) == (3, 4, None, 0, 1, 2, None)
    assert len(trips) == 1
    assert desk.queue.positions([canceled]) == (None,)
    assert desk.queue.positions([]) == ()
    assert len(trips) == 1


def test_remove_takes_the_id_out_of_both_lists(desk: Desk) -> None:
    waiting, taken = desk.submit(), desk.submit()
    queue = desk.queue.rq("demo")
    desk.redis.lrem(queue.key, 0, taken.id)
    desk.redis.rpush(queue.intermediate_queue_key, taken.id)
    assert desk.queue.taken("demo") == {taken.id}
    for record in (waiting, taken):
        desk.queue.remove(record)
        assert not Job.exists(record.id, connection=desk.redis)
    assert desk.queue.depth("demo") == 0
    assert desk.queue.taken("demo") == set()


def test_handed_back_edit_is_first_in_the_queue(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit()
    queue = desk.queue.rq("demo")
    assert desk.redis.lmove(queue.key, queue.intermediate_queue_key) == first.id.encode()
    claim = desk.records.claim(first.id, "w")
    assert claim is not None
    desk.queue.hand_back(claim)
    assert [desk.queue.position(desk.get(first)), desk.queue.position(second)] == [0, 1]
    assert desk.queue.taken("demo") == set()


def test_requeue_works_after_rq_lost_the_job(desk: Desk) -> None:
    record = desk.submit()
    desk.queue.remove(record)
    assert desk.queue.requeue(record) is State.QUEUED
    desk.queue.enqueue(record)  # a slow front end comes at last: it is in line already
    assert desk.queue.depth("demo") == 1


def test_low_edits_wait_for_all_normal_ones(desk: Desk) -> None:
    low = [desk.submit(priority="low") for _ in range(2)]
    normal = [desk.submit() for _ in range(2)]
    assert [desk.queue.position(record) for record in (*normal, *low)] == [0, 1, 2, 3]
    assert [desk.queue.depth("demo", each) for each in (None, "normal", "low")] == [4, 2, 2]
    assert desk.queue.waiting("demo") == {record.id for record in (*normal, *low)}
    order = [desk.queue.dequeue("demo") for _ in range(5)]
    assert order == [(normal[0].id, "normal"), (normal[1].id, "normal"), (low[0].id, "low"), (low[1].id, "low"), None]
    assert desk.queue.taken("demo") == {record.id for record in (*normal, *low)}


def test_requeued_edits_go_to_the_head_of_their_own_queue(desk: Desk) -> None:
    normal, lost, held, low = (desk.submit(priority=each) for each in ("normal", "low", "low", "low"))
    for record in (lost, held):
        desk.queue.remove(record)
    claim = desk.records.claim(held.id, "w")
    assert claim is not None
    desk.queue.hand_back(claim)
    assert desk.queue.requeue(lost) is State.QUEUED
    assert [desk.queue.position(desk.get(record)) for record in (normal, lost, held, low)] == [0, 1, 2, 3]
    desk.queue.remove(low)
    assert desk.queue.position(low) is None
    assert desk.queue.depth("demo", "low") == 2


def rings(desk: Desk) -> int:
    """Tokens in the bell."""
    return desk.redis.llen(keys.BELL + "demo")


def test_enqueuing_wakes_one_worker(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit(priority="low")
    assert rings(desk) == 1
    desk.redis.delete(keys.BELL + "demo")
    desk.queue.enqueue(first)  # again, the answer was lost
    assert rings(desk) == 1
    desk.redis.delete(keys.BELL + "demo")
    desk.queue.remove(second)
    desk.queue.requeue(second)
    assert rings(desk) == 1
    desk.queue.dequeue("demo")
    claim = desk.records.claim(first.id, "w")
    assert claim is not None
    desk.redis.delete(keys.BELL + "demo")
    desk.queue.hand_back(claim)
    assert rings(desk) == 1


def test_worker_wakes_the_next_one_while_edits_wait(desk: Desk) -> None:
    for priority in ("normal", "low"):
        desk.submit(priority=priority)
    desk.queue.await_bell(["demo"], 1)
    assert rings(desk) == 0
    desk.queue.dequeue("demo")
    assert rings(desk) == 1
    desk.queue.dequeue("demo")
    assert rings(desk) == 1
    assert desk.queue.dequeue("demo") is None
    assert rings(desk) == 0


@pytest.mark.parametrize("priority", ["normal", "low"])
def test_one_idle_worker_wakes_per_edit(desk: Desk, priority: str) -> None:
    taken: list[str] = []
    # No time-out that the test outlasts: only a ring wakes.
    patient = Desk(desk.settings.model_copy(update={"redis_timeout_s": 20 * PATIENCE_S}))

    def work() -> None:
        while (found := patient.queue.dequeue("demo")) is None:
            patient.queue.await_bell(["demo"], 10 * PATIENCE_S)
        taken.append(found[0])

    workers = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()
    wait_until(lambda: desk.redis.info("clients")["blocked_clients"] == 3)
    records = [desk.submit(priority=priority) for _ in range(3)]
    wait_until(lambda: len(taken) == len(workers))
    patient.close()
    assert sorted(taken) == [record.id for record in records]


def test_the_started_registry_does_not_depend_on_clocks(desk: Desk) -> None:
    registry = desk.queue.rq("demo").started_job_registry.key
    hour_s = 3600
    # A dead worker's, whose clock was ahead; and a live one's, whose clock is behind.
    desk.redis.zadd(registry, {"dead:1": time.time() + hour_s, "live:1": time.time() - hour_s})
    desk.redis.hset("rq:execution:live:1", "id", "1")
    desk.queue.tidy("demo")
    assert desk.redis.zrange(registry, 0, -1) == [b"live:1"]


def test_requeued_edit_handed_back_by_a_slow_worker_is_queued_once(desk: Desk) -> None:
    record, other = desk.submit(), desk.submit()
    assert desk.queue.dequeue("demo") == (record.id, "normal")
    # The worker sleeps; a reaper finds the edit in no line and under no lease.
    assert desk.queue.requeue(record) is State.QUEUED
    claim = desk.records.claim(record.id, "worker-1")
    assert claim is not None
    assert desk.queue.hand_back(claim) is State.QUEUED
    assert desk.line() == [record.id, other.id]
