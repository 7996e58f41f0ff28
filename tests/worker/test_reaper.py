from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis.exceptions import OutOfMemoryError
from rq.job import Job

from jobs import keys
from jobs.records.store import Records
from jobs.schema import JobRecord, State
from jobs.settings import Settings
from jobs.storage import job_prefix
from tests.conftest import PATIENCE_S, running, wait_until
from tests.jobs.conftest import Desk, lapse, open_ids, pass_deadline
from tests.worker.conftest import environment
from worker.reaper import LOCK_INTERVALS, LOCK_MIN_S, Chores, Reaper, Sweep


@pytest.fixture
def reaper(desk: Desk) -> Reaper:
    """Without patience."""
    return Reaper(desk.redis, desk.store, desk.settings.model_copy(update={"reaper_grace_s": 0.0}))


def taken(desk: Desk) -> JobRecord:
    """A submitted edit whose id a worker took and did not claim."""
    record = desk.submit()
    queue = desk.queue.rq("demo")
    desk.redis.lmove(queue.key, queue.intermediate_queue_key)
    return record


@contextmanager
def repeating(reaper: Reaper) -> Iterator[threading.Thread]:
    """The reaper at work."""
    stop = threading.Event()
    thread = threading.Thread(target=reaper.run, args=(stop,))
    thread.start()
    yield thread
    stop.set()
    thread.join()


def make_foreign(desk: Desk, record: JobRecord) -> None:
    """Let the record be one that this version cannot read."""
    desk.redis.hset(keys.EDIT + record.id, "field_of_tomorrow", "1")


def make_expired(desk: Desk) -> JobRecord:
    """An edit that is over and was to be kept until a second ago."""
    record = desk.cancel()
    at = desk.records.now() - 1
    desk.redis.hset(keys.EDIT + record.id, "expires_at", at)
    desk.redis.zadd(keys.EXPIRY, {record.id: at})
    return record


def test_waiting_and_held_edits_are_not_touched(desk: Desk, reaper: Reaper) -> None:
    claim = desk.records.claim(taken(desk).id, "w")
    desk.submit()
    assert reaper.sweep() == Sweep()
    assert claim == desk.get(claim) if claim else False


def test_lost_edits_go_to_the_head_of_their_queue(desk: Desk, reaper: Reaper) -> None:
    lost = taken(desk)
    waiting = desk.submit()
    assert reaper.sweep() == Sweep(requeued=(lost.id,))
    assert [desk.queue.position(lost), desk.queue.position(waiting)] == [0, 1]
    assert reaper.sweep() == Sweep()


def test_an_edit_whose_lease_ran_out_is_requeued(desk: Desk, reaper: Reaper) -> None:
    record = taken(desk)
    desk.records.claim(record.id, "w")
    assert reaper.sweep() == Sweep()
    lapse(desk, record)
    assert reaper.sweep().requeued == (record.id,)
    assert (desk.get(record).state, desk.get(record).attempt) == (State.QUEUED, 1)


def test_the_oldest_of_the_lost_comes_first(desk: Desk, reaper: Reaper) -> None:
    lost = [taken(desk) for _ in range(5)]
    reaper.sweep()
    oldest_first = sorted(lost, key=lambda record: record.id)
    assert [desk.queue.position(record) for record in oldest_first] == [0, 1, 2, 3, 4]


def test_concurrent_reapers_requeue_once(desk: Desk) -> None:
    records = [taken(desk) for _ in range(10)]
    env = environment(desk.settings.model_copy(update={"reaper_interval_s": 0.01}))
    command = [sys.executable, "-m", "worker.reaper"]
    with running(command, env=env), running(command, env=env):
        wait_until(lambda: desk.queue.depth("demo") == len(records))
    assert desk.queue.waiting("demo") == {record.id for record in records}
    assert desk.queue.depth("demo") == len(records)


def test_a_standalone_reaper_stops_on_request(desk: Desk) -> None:
    lost = taken(desk)
    with running([sys.executable, "-m", "worker.reaper"], env=environment(desk.settings)) as process:
        wait_until(lambda: desk.queue.position(lost) == 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def test_one_reaper_sweeps_at_a_time(desk: Desk, reaper: Reaper) -> None:
    with desk.redis.lock(keys.REAPER_LOCK, timeout=600):
        assert reaper.sweep_alone() is None
    desk.redis.delete(keys.SWEPT)
    assert reaper.sweep_alone() == Sweep()


def test_many_reapers_sweep_no_more_often_than_one(desk: Desk) -> None:
    settings = desk.settings.model_copy(update={"reaper_interval_s": 600.0})
    reapers = [Reaper(desk.redis, desk.store, settings) for _ in range(5)]
    assert [reaper.sweep_alone() for reaper in reapers] == [Sweep()] + [None] * 4
    assert [reaper.keep_house_in_turn() for reaper in reapers] == [Chores()] + [None] * 4
    assert all(0 < desk.redis.pttl(key) <= 600_000 for key in (keys.SWEPT, keys.HOUSE_KEPT))


def test_sweep_does_not_fetch_the_queue(desk: Desk, reaper: Reaper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper._queue, "waiting", lambda _: pytest.fail("the whole line was fetched"))
    lost, late = taken(desk), desk.submit(deadline_s=60)
    pass_deadline(desk, late)
    assert reaper.sweep() == Sweep((lost.id,), (late.id,), (late.id,))
    assert desk.line() == [lost.id]


@pytest.mark.parametrize("changes", [{}, {"lease_s": 8.0, "reaper_interval_s": 0.5, "reaper_grace_s": 1.0}])
def test_a_dead_reapers_lock_leaves_time_to_recover_within_twice_the_lease(
    changes: dict[str, Any], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the defaults, and with the soak's times."""
    settings = Settings(redis_url=desk.settings.redis_url, state_dir=desk.settings.state_dir, **changes)
    reaper = Reaper(desk.redis, desk.store, settings)
    held_ms: list[int] = []
    monkeypatch.setattr(reaper, "sweep", lambda: held_ms.append(int(desk.redis.pttl(keys.REAPER_LOCK))))
    reaper.sweep_alone()
    # The lease runs out, another reaper dies in its sweep, one more sees the edit, and one more when its grace is over.
    longest_s = settings.lease_s + held_ms[0] / 1e3 + settings.reaper_grace_s + 2 * settings.reaper_interval_s
    assert longest_s <= min(30, 2 * settings.lease_s)


def test_a_record_of_another_version_is_brought_back_with_the_others(desk: Desk, reaper: Reaper) -> None:
    lost = [taken(desk) for _ in range(3)]
    make_foreign(desk, lost[1])
    assert set(reaper.sweep().requeued) == {record.id for record in lost}
    assert desk.line() == sorted(record.id for record in lost)


def test_an_unreadable_record_does_not_block_others(desk: Desk, reaper: Reaper) -> None:
    broken, lost = taken(desk), taken(desk)
    desk.redis.hset(keys.EDIT + broken.id, "request", "[]")
    assert reaper.sweep().requeued == (lost.id,)


def test_expired_record_of_another_version_is_removed(desk: Desk, reaper: Reaper) -> None:
    expired = [make_expired(desk) for _ in range(2)]
    make_foreign(desk, expired[0])
    assert set(reaper.keep_house().expired) == {record.id for record in expired}
    assert [desk.store.keys(job_prefix("local", record.id)) for record in expired] == [[], []]


def test_error_in_one_phase_does_not_stop_the_others(
    desk: Desk, reaper: Reaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("a bug")

    for part, name in ((reaper._records, "fail_overtime"), (reaper._queue, "tidy"), (reaper._orphans, "step")):
        monkeypatch.setattr(part, name, fails)
    lost, expired = taken(desk), make_expired(desk)
    with repeating(reaper) as thread:
        wait_until(lambda: desk.queue.position(lost) == 0)
        wait_until(lambda: desk.redis.zcard(keys.EXPIRY) == 0)
        monkeypatch.setattr(reaper, "sweep", fails)
        monkeypatch.setattr(reaper, "keep_house", fails)
        desk.redis.delete(keys.SWEPT)
        wait_until(lambda: bool(desk.redis.exists(keys.SWEPT)))
        assert thread.is_alive()
        monkeypatch.undo()
        again = taken(desk)
        wait_until(lambda: desk.queue.position(again) == 0)
    assert desk.store.keys(job_prefix("local", expired.id)) == []


def test_hanging_storage_does_not_delay_lost_edits(desk: Desk, reaper: Reaper, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, go_on = threading.Event(), threading.Event()

    def hang(_: str) -> int:
        hanging.set()
        go_on.wait(2 * PATIENCE_S)
        return 0

    monkeypatch.setattr(desk.store, "delete_prefix", hang)
    make_expired(desk)
    with repeating(reaper):
        assert hanging.wait(PATIENCE_S)
        lost = taken(desk)
        wait_until(lambda: desk.queue.position(lost) == 0)
        assert not go_on.is_set()
        go_on.set()


def test_expiry_frees_memory_in_a_full_redis(desk: Desk, reaper: Reaper) -> None:
    expired = make_expired(desk)
    reaper.keep_house_in_turn()  # the scripts are known to Redis from now on
    late = make_expired(desk)
    try:
        desk.redis.config_set("maxmemory", 1)
        with pytest.raises(OutOfMemoryError):
            desk.redis.set("full?", 1)
        with repeating(reaper):
            wait_until(lambda: desk.redis.zcard(keys.EXPIRY) == 0, what="expiry")
    finally:
        desk.redis.config_set("maxmemory", 0)
    assert [desk.store.keys(job_prefix("local", each.id)) for each in (expired, late)] == [[], []]
    assert desk.redis.ttl(keys.EDIT + late.id) > 0


DIES_IN_ITS_SWEEP = """
import os, signal
from jobs.queue import JobQueue
from worker.reaper import main
requeue = JobQueue.requeue
def once(self, place):
    requeue(self, place)
    os.kill(os.getpid(), signal.SIGKILL)
JobQueue.requeue = once
main()
"""


def test_next_reaper_finishes_an_interrupted_sweep(desk: Desk) -> None:
    lost = [taken(desk) for _ in range(4)]
    env = environment(desk.settings)
    with running([sys.executable, "-c", DIES_IN_ITS_SWEEP], env=env) as first:
        assert first.wait(PATIENCE_S) == -signal.SIGKILL
    assert desk.queue.depth("demo") == 1
    # What it holds runs out; -2: it has.
    assert desk.redis.pttl(keys.REAPER_LOCK) in {-2, *range(int(1000 * max(LOCK_MIN_S, LOCK_INTERVALS * 0.1)) + 1)}
    with running([sys.executable, "-m", "worker.reaper"], env=env):
        wait_until(lambda: desk.queue.depth("demo") == len(lost))
    assert set(desk.line()) == {record.id for record in lost}
    assert {desk.get(record).attempt for record in lost} == {0}


def test_finished_edits_leave_the_queues(desk: Desk, reaper: Reaper) -> None:
    canceled, waiting = desk.submit(), desk.submit()
    desk.records.request_cancel(canceled.id)  # and its front end dies
    assert reaper.keep_house().cleaned == (canceled.id,)
    assert desk.line() == [waiting.id]
    assert desk.redis.pttl(keys.LINES_CLEANED) > 0


def test_leftovers_of_finished_edits_are_removed_from_rq(desk: Desk, reaper: Reaper) -> None:
    record = taken(desk)
    desk.records.request_cancel(record.id)
    assert reaper.sweep() == Sweep(cleaned=(record.id,))
    assert desk.queue.taken("demo") == set()


def test_late_edits_fail_without_any_worker(desk: Desk, reaper: Reaper) -> None:
    waiting, patient, running = desk.submit(deadline_s=60), desk.submit(deadline_s=60), desk.submit(deadline_s=60)
    unbound = desk.submit(priority="low")
    assert reaper.sweep() == Sweep()
    desk.records.claim(running.id, "w")
    for record in (waiting, running):
        pass_deadline(desk, record)
    assert reaper.sweep() == Sweep(late=(waiting.id,), cleaned=(waiting.id,))
    failed = desk.get(waiting)
    assert failed.problem is not None
    assert (failed.state, failed.problem.code, failed.attempt) == (State.FAILED, "deadline", 0)
    assert desk.is_in(running, State.RUNNING)
    desk.queue.remove(running)
    assert [desk.queue.position(record) for record in (patient, unbound)] == [0, 1]
    assert open_ids(desk.records) == {patient.id, unbound.id, running.id}


def test_a_lost_edit_is_not_restarted_after_its_deadline(desk: Desk, reaper: Reaper) -> None:
    record = desk.submit(deadline_s=60)
    desk.queue.dequeue("demo")
    desk.records.claim(record.id, "w")
    pass_deadline(desk, record)
    assert reaper.sweep() == Sweep()
    lapse(desk, record)
    assert reaper.sweep().requeued == (record.id,)
    failed = desk.get(record)
    assert failed.problem is not None
    assert (failed.state, failed.problem.code, failed.attempt) == (State.FAILED, "deadline", 1)
    assert not Job.exists(record.id, connection=desk.redis)


def test_expired_edits_leave_storage_and_lists(desk: Desk, reaper: Reaper) -> None:
    kept, expired = desk.submit(), desk.submit()
    Records(desk.redis, desk.settings.model_copy(update={"result_ttl_s": 0.01})).request_cancel(expired.id)
    wait_until(lambda: reaper.keep_house().expired == (expired.id,))
    assert desk.store.keys(job_prefix("local", expired.id)) == []
    assert len(desk.store.keys(job_prefix("local", kept.id))) == 2
    assert [record.id for record in desk.records.list("local").records] == [kept.id]


def test_reaper_needs_no_torch() -> None:
    program = "import sys, worker.reaper; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
