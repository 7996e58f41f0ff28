"""Real worker processes on a real Redis: what becomes of an edit however its worker ends."""

from __future__ import annotations

import signal
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from rq import Queue, worker_registration
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import Worker

from jobs import keys
from jobs.connection import connect
from jobs.queue import queue_name
from jobs.schema import State
from jobs.storage import job_prefix
from tests.conftest import PATIENCE_S, redis_server, wait_until
from tests.jobs.conftest import BOX, SIZE, Desk, lapse
from tests.worker.conftest import Spawn, attempts, ends, leaves_rq, runs
from tests.worker.models.painter import COLOUR, painting_model
from worker.heartbeat import EXIT_RESTART
from worker.rq_worker import RqWorker, unique_name


def test_an_edit_is_carried_out_and_committed(desk: Desk, spawn: Spawn) -> None:
    process = spawn()
    record = desk.submit()
    done = ends(desk, record)
    assert (done.state, done.attempt, len(done.results)) == (State.SUCCEEDED, 1, 1)
    result = Image.open(BytesIO(desk.store.get(done.results[0].key)))
    assert result.size == SIZE == (done.results[0].width, done.results[0].height)
    assert [result.getpixel(xy) for xy in ((BOX[0], BOX[1]), (0, 0))] == [COLOUR, (255, 255, 255)]
    leaves_rq(desk, record)
    wait_until(lambda: desk.models.all()["demo"].step_seconds is not None)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert desk.models.workers() == set()
    assert Worker.all(connection=desk.redis) == []


def test_many_edits_over_two_workers(desk: Desk, spawn: Spawn) -> None:
    spawn()
    spawn()
    records = [desk.submit() for _ in range(20)]
    done = [ends(desk, record) for record in records]
    assert {(record.state, record.attempt) for record in done} == {(State.SUCCEEDED, 1)}
    assert len({record.worker for record in done}) == 2


def test_normal_priority_runs_before_low(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "hold").touch()
    spawn()
    held = desk.submit("hold")
    runs(desk, held)
    low, normal = desk.submit(priority="low"), desk.submit()
    (gates / "hold").unlink()
    ended = [ends(desk, record).finished_at or 0.0 for record in (held, normal, low)]
    assert ended == sorted(ended)
    leaves_rq(desk, low)


def test_a_killed_workers_edit_runs_again_and_is_committed_once(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "hold").touch()
    first = spawn()
    record = desk.submit("hold")
    runs(desk, record)
    first.kill()
    first.wait()
    lapse(desk, record)
    spawn()
    wait_until(lambda: desk.get(record).attempt == 2, what="second attempt")
    (gates / "hold").unlink()
    done = ends(desk, record)
    assert (done.state, done.attempt) == (State.SUCCEEDED, 2)
    leaves_rq(desk, record)
    assert attempts(desk, record) == {"2"}


def test_killed_workers_are_removed_from_rqs_lists(desk: Desk, spawn: Spawn) -> None:
    process = spawn()
    name = next(iter(desk.models.workers()))
    process.kill()
    process.wait()
    desk.submit()
    desk.redis.delete(f"rq:worker:{name}")  # what its time to live does after some minutes
    desk.queue.tidy("demo")
    assert worker_registration.get_keys(desk.queue.rq("demo")) == set()


def test_a_worker_killed_between_taking_and_claiming_loses_nothing(desk: Desk, spawn: Spawn) -> None:
    record = desk.submit()
    queue = desk.queue.rq("demo")
    assert desk.redis.lmove(queue.key, queue.intermediate_queue_key) is not None
    spawn()
    assert ends(desk, record).state is State.SUCCEEDED
    leaves_rq(desk, record)


def test_a_front_end_killed_before_enqueuing_loses_nothing(desk: Desk, spawn: Spawn) -> None:
    record = desk.submit()
    desk.queue.remove(record)
    spawn()
    assert ends(desk, record).state is State.SUCCEEDED


def test_resumed_worker_without_claim_commits_nothing(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "hold").touch()
    zombie = spawn()
    record = desk.submit("hold")
    runs(desk, record)
    owner = desk.get(record).worker
    zombie.send_signal(signal.SIGSTOP)
    lapse(desk, record)
    spawn()
    wait_until(lambda: desk.get(record).attempt == 2, what="second attempt")
    (gates / "hold").unlink()
    done = ends(desk, record)
    assert done.worker != owner
    zombie.send_signal(signal.SIGCONT)
    # It goes on, finds its claim lost, and works on: its next edit shows that it is past the old one.
    zombies_next = [desk.submit() for _ in range(4)]
    wait_until(lambda: all(desk.get(next_).state.is_terminal for next_ in zombies_next))
    zombie.send_signal(signal.SIGTERM)
    assert zombie.wait(PATIENCE_S) == 0
    assert desk.get(record) == done
    assert attempts(desk, record) == {"2"}


def test_cancel_reaches_a_running_edit(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "hold").touch()
    spawn()
    record = desk.submit("hold")
    runs(desk, record)
    assert desk.records.request_cancel(record.id)
    assert ends(desk, record).state is State.CANCELED
    leaves_rq(desk, record)
    assert attempts(desk, record) == set()
    assert ends(desk, desk.submit()).state is State.SUCCEEDED  # the worker is free again


def test_canceling_a_waiting_edit_affects_no_other(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "hold").touch()
    spawn()
    running, waiting, last = desk.submit("hold"), desk.submit(), desk.submit()
    runs(desk, running)
    desk.records.request_cancel(waiting.id)
    (gates / "hold").unlink()
    assert [ends(desk, record).state for record in (running, waiting, last)] == [
        State.SUCCEEDED,
        State.CANCELED,
        State.SUCCEEDED,
    ]
    assert desk.get(waiting).attempt == 0
    leaves_rq(desk, waiting)


def test_poison_edit_fails_after_its_attempts(desk: Desk, spawn: Spawn) -> None:
    poison = desk.submit("die")
    for _ in range(2):
        process = spawn()
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
        lapse(desk, poison)
    spawn()
    failed = ends(desk, poison)
    assert failed.problem is not None
    assert (failed.state, failed.problem.code, failed.attempt) == (State.FAILED, "worker_lost", 2)
    assert ends(desk, desk.submit()).state is State.SUCCEEDED


@pytest.mark.parametrize(("prompt", "code"), [("fail", "edit_diverged"), ("break", "internal_error")])
def test_an_edit_that_raises_fails_with_a_problem(desk: Desk, spawn: Spawn, prompt: str, code: str) -> None:
    spawn()
    failed = ends(desk, desk.submit(prompt))
    assert failed.problem is not None
    assert (failed.state, failed.problem.code, failed.attempt) == (State.FAILED, code, 1)
    assert "secret" not in failed.model_dump_json()
    assert ends(desk, desk.submit()).state is State.SUCCEEDED


def test_worker_with_a_broken_model_exits(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "broken").touch()
    process = spawn()
    breaking, waiting = desk.submit("break"), desk.submit()
    assert process.wait(PATIENCE_S) == EXIT_RESTART
    assert [desk.get(breaking).state, desk.get(waiting).state] == [State.FAILED, State.QUEUED]
    spawn()
    assert ends(desk, waiting).attempt == 1


def test_crashed_worker_loop_requests_a_restart(spawn: Spawn, gates: Path) -> None:
    process = spawn()
    (gates / "crash").touch()
    assert process.wait(PATIENCE_S) == EXIT_RESTART


def test_record_of_another_version_does_not_stop_the_worker(desk: Desk, spawn: Spawn) -> None:
    process = spawn()
    foreign = desk.record()
    desk.records.create(foreign)
    desk.redis.hset(keys.EDIT + foreign.id, "field_of_tomorrow", "1")
    desk.queue.enqueue(foreign)

    def failed_for_good() -> bool:
        desk.redis.delete(keys.LEASE + foreign.id)  # as it runs out: who cannot read what it claimed renews nothing
        return desk.redis.hget(keys.EDIT + foreign.id, "state") == b"failed"

    wait_until(failed_for_good, what="its end")
    desk.redis.hdel(keys.EDIT + foreign.id, "field_of_tomorrow")
    failed = desk.get(foreign)
    assert failed.problem is not None
    assert (failed.problem.code, failed.attempt) == ("worker_lost", desk.settings.max_attempts)
    assert ends(desk, desk.submit()).state is State.SUCCEEDED
    assert process.poll() is None


def test_a_missing_input_fails_without_revealing_its_key(desk: Desk, spawn: Spawn) -> None:
    record = desk.submit()
    desk.queue.remove(record)
    desk.store.delete_prefix(job_prefix(record.tenant, record.id))
    spawn()  # its reaper finds the edit
    failed = ends(desk, record)
    assert failed.problem is not None
    assert (failed.problem.code, "input/" in failed.problem.detail) == ("internal_error", False)


def test_redis_restarts_under_a_running_edit(desk: Desk, gates: Path, tmp_path: Path, spawn: Spawn) -> None:
    (gates / "hold").touch()
    folder = tmp_path / "r"
    with redis_server(folder) as url:
        own = Desk(desk.settings.model_copy(update={"redis_url": url}))
        desk.models = own.models  # `spawn` looks there
        process = spawn(redis_url=url)
        record = own.submit("hold")
        runs(own, record)
    (gates / "hold").unlink()  # the edit finishes while there is no Redis to tell
    with redis_server(folder):
        done = ends(own, record)
        assert (done.state, done.attempt) == (State.SUCCEEDED, 1)
        assert ends(own, own.submit()).state is State.SUCCEEDED
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        own.close()


def test_lasting_storage_outage_fails_the_edit_with_a_problem(desk: Desk, spawn: Spawn) -> None:
    spawn(storage_patience_s=0.2)
    record = desk.record()
    desk.store.put(record.image, b"", "image/png")
    folder = desk.settings.state_dir / "objects" / record.tenant / record.id
    (folder / "input" / "image.png").unlink()
    (folder / "input").rmdir()
    (folder / "input").write_text("a file where a folder should be")
    desk.records.create(record)
    desk.queue.enqueue(record)
    failed = ends(desk, record)
    assert failed.problem is not None
    assert (failed.problem.code, failed.problem.status) == ("storage_unavailable", 503)
    assert (failed.attempt, failed.handed_back) == (desk.settings.max_attempts, 0)
    leaves_rq(desk, record)
    assert ends(desk, desk.submit()).attempt == 1


def test_worker_names_are_unique() -> None:
    assert len({unique_name() for _ in range(100)}) == 100


def test_redis_data_is_never_executed(desk: Desk, tmp_path: Path) -> None:
    """An id put into the queue by somebody else, with a function of his choice."""
    proof = tmp_path / "called"
    queue = Queue(queue_name("demo"), connection=desk.redis, serializer=JSONSerializer)
    queue.enqueue("pathlib.Path.touch", str(proof), job_id="forged")
    record = desk.submit()
    worker = RqWorker(
        connect(desk.settings), connect(desk.settings), desk.store, painting_model(tmp_path), desk.settings
    )
    worker.work(burst=True, logging_level="WARNING")
    assert not proof.exists()
    assert not Job.exists("forged", connection=desk.redis)
    assert desk.get(record).state is State.SUCCEEDED


def test_rq_shows_running_edits(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "hold").touch()
    spawn()
    record = desk.submit("hold")
    runs(desk, record)
    (worker,) = Worker.all(connection=desk.redis)
    assert worker.name == desk.get(record).worker
    assert worker.get_state() == "busy"
    assert [execution.job_id for execution in worker.get_current_executions()] == [record.id]


def test_one_worker_serves_several_models_with_separate_queues(desk: Desk, spawn: Spawn, gates: Path) -> None:
    (gates / "hold").touch()
    process = spawn("demo", "other")
    # Each was loaded once, so that both are known; the budget has room for one.
    wait_until(lambda: {name for name, each in desk.models.all().items() if each.workers} == {"demo", "other"})
    (gates / "loads").unlink()
    held = desk.submit("hold", model="demo")
    runs(desk, held)
    records = [held, *(desk.submit(model=model) for model in ("other", "demo"))]
    (gates / "hold").unlink()
    assert {ends(desk, record).state for record in records} == {State.SUCCEEDED}
    # The loaded one's edits go first, however late they came.
    assert (gates / "loads").read_text().split() == ["other"]
    desk.models.order("demo", "load")
    wait_until(lambda: (gates / "loads").read_text().split() == ["other", "demo"], what="load")
    desk.models.order("demo", "unload")
    assert ends(desk, desk.submit(model="demo")).state is State.SUCCEEDED
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert desk.models.workers() == set()


def test_failed_load_command_does_not_stop_the_worker(desk: Desk, spawn: Spawn, gates: Path) -> None:
    process = spawn("demo", "other")
    # It has seen which orders are older than it.
    assert ends(desk, desk.submit(model="demo")).state is State.SUCCEEDED
    (gates / "loads").unlink()
    (gates / "no-memory").touch()
    desk.models.order("other", "load")
    wait_until(lambda: (gates / "loads").exists(), what="attempt to load")
    (gates / "no-memory").unlink()
    assert ends(desk, desk.submit(model="demo")).state is State.SUCCEEDED
    assert process.poll() is None
