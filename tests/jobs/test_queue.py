from __future__ import annotations

from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from jobs.queue import TASK, queue_name
from jobs.schema import State
from tests.jobs.desk import Desk


def test_first_come_first_served(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit()
    assert [desk.queue.position(first), desk.queue.position(second)] == [0, 1]
    assert desk.queue.depth("demo") == 2
    assert desk.line() == [first.id, second.id]
    assert desk.queue.models() == {"demo"}


def test_enqueuing_twice_is_enqueuing_once(desk: Desk) -> None:
    record = desk.submit()
    desk.queue.enqueue(record)
    assert desk.queue.depth("demo") == 1


def test_each_model_has_a_line(desk: Desk) -> None:
    other = desk.submit(model="other")
    assert desk.queue.depth("demo") == 0
    assert desk.queue.position(other) == 0


def test_rq_carries_the_id_and_nothing_else(desk: Desk) -> None:
    record = desk.submit()
    job = Job.fetch(record.id, connection=desk.redis, serializer=JSONSerializer)
    assert (job.func_name, job.args, job.kwargs, job.timeout, job.ttl) == (TASK, [record.id], {}, -1, None)
    assert queue_name("demo") in {queue.name for queue in Queue.all(connection=desk.redis)}


def test_only_queued_edits_have_a_position(desk: Desk) -> None:
    record = desk.submit()
    desk.records.request_cancel(record.id)
    assert desk.queue.position(desk.get(record)) is None


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


def test_handing_back_puts_an_edit_at_the_head(desk: Desk) -> None:
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
