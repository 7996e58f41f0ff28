from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from rq.job import Job

from jobs import keys
from jobs.records import Records
from jobs.schema import JobRecord, State
from jobs.storage import job_prefix
from tests.conftest import running, wait_until
from tests.jobs.desk import Desk, pass_deadline
from tests.worker.conftest import environment
from worker.reaper import Reaper, Sweep


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


def test_what_waits_or_is_held_is_left_alone(desk: Desk, reaper: Reaper) -> None:
    claim = desk.records.claim(taken(desk).id, "w")
    desk.submit()
    assert reaper.sweep() == Sweep()
    assert claim == desk.get(claim) if claim else False


def test_lost_edits_go_to_the_head_of_their_line(desk: Desk, reaper: Reaper) -> None:
    lost = taken(desk)
    waiting = desk.submit()
    assert reaper.sweep() == Sweep(requeued=(lost.id,))
    assert [desk.queue.position(lost), desk.queue.position(waiting)] == [0, 1]
    assert reaper.sweep() == Sweep()


def test_an_edit_whose_lease_ran_out_is_requeued(desk: Desk, reaper: Reaper) -> None:
    record = taken(desk)
    desk.records.claim(record.id, "w")
    wait_until(lambda: reaper.sweep().requeued == (record.id,))
    assert (desk.get(record).state, desk.get(record).attempt) == (State.QUEUED, 1)


def test_the_oldest_of_the_lost_comes_first(desk: Desk, reaper: Reaper) -> None:
    lost = [taken(desk) for _ in range(5)]
    reaper.sweep()
    oldest_first = sorted(lost, key=lambda record: record.id)
    assert [desk.queue.position(record) for record in oldest_first] == [0, 1, 2, 3, 4]


def test_many_reapers_requeue_once(desk: Desk) -> None:
    records = [taken(desk) for _ in range(10)]
    env = environment(desk.settings.model_copy(update={"reaper_interval_s": 0.01}))
    command = [sys.executable, "-m", "worker.reaper"]
    with running(command, env=env), running(command, env=env):
        wait_until(lambda: desk.queue.depth("demo") == len(records))
    assert desk.queue.waiting("demo") == {record.id for record in records}
    assert desk.queue.depth("demo") == len(records)


def test_the_reaper_alone_stops_when_asked(desk: Desk) -> None:
    lost = taken(desk)
    with running([sys.executable, "-m", "worker.reaper"], env=environment(desk.settings)) as process:
        wait_until(lambda: desk.queue.position(lost) == 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_one_sweeps_at_a_time(desk: Desk, reaper: Reaper) -> None:
    with desk.redis.lock(keys.REAPER_LOCK, timeout=10):
        assert reaper.sweep_alone() is None
    assert reaper.sweep_alone() == Sweep()


def test_a_dead_reapers_lock_leaves_time_to_recover_within_twice_the_lease(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"lease_s": 8.0, "reaper_interval_s": 0.5, "reaper_grace_s": 1.0}
    settings = desk.settings.model_copy(update=times)
    reaper = Reaper(desk.redis, desk.store, settings)
    held_ms: list[int] = []
    monkeypatch.setattr(reaper, "sweep", lambda: held_ms.append(int(desk.redis.pttl(keys.REAPER_LOCK))))
    reaper.sweep_alone()
    # The lease runs out, another reaper dies in its sweep, one more sees the edit, and one more when its grace is over.
    longest_s = settings.lease_s + held_ms[0] / 1e3 + settings.reaper_grace_s + 2 * settings.reaper_interval_s
    assert longest_s <= 2 * settings.lease_s


def test_leftovers_of_finished_edits_leave_rq(desk: Desk, reaper: Reaper) -> None:
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
    assert desk.records.open_ids() == {patient.id, unbound.id, running.id}


def test_a_lost_edit_is_not_begun_again_after_its_deadline(desk: Desk, reaper: Reaper) -> None:
    record = desk.submit(deadline_s=60)
    desk.queue.take("demo")
    desk.records.claim(record.id, "w")
    pass_deadline(desk, record)
    assert reaper.sweep() == Sweep()
    wait_until(lambda: reaper.sweep().requeued == (record.id,))
    failed = desk.get(record)
    assert failed.problem is not None
    assert (failed.state, failed.problem.code, failed.attempt) == (State.FAILED, "deadline", 1)
    assert not Job.exists(record.id, connection=desk.redis)


def test_expired_edits_leave_storage_and_lists(desk: Desk, reaper: Reaper) -> None:
    kept, expired = desk.submit(), desk.submit()
    Records(desk.redis, desk.settings.model_copy(update={"result_ttl_s": 0.01})).request_cancel(expired.id)
    wait_until(lambda: reaper.sweep().expired == (expired.id,))
    assert desk.store.keys(job_prefix("local", expired.id)) == []
    assert len(desk.store.keys(job_prefix("local", kept.id))) == 2
    assert [record.id for record in desk.records.list("local").records] == [kept.id]


def test_it_needs_no_torch() -> None:
    program = "import sys, worker.reaper; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
