"""Ways to die that leave most behind: at the very point, with real processes, SIGKILL and a real S3 server."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from rq.job import Job

from cli.processes.embedded_redis import EmbeddedRedis
from jobs.schema import State
from tests.conftest import PATIENCE_S, S3_BUCKET, S3_KEY, S3_SECRET, free_port, listens, running, wait_until
from tests.jobs.conftest import Desk, lapse
from tests.worker.conftest import Process, attempts, ends, leaves_rq, runs

Spawn = Callable[..., Process]


def test_worker_killed_at_the_claim(desk: Desk, spawn: Spawn, gates: Path) -> None:
    """It took the id and is gone before anybody knows."""
    first = spawn()
    (gates / "die-at-claim").touch()
    record = desk.submit()
    assert first.wait(PATIENCE_S) == -signal.SIGKILL
    assert desk.is_in(record, State.QUEUED)
    assert desk.queue.taken("demo") == {record.id}
    spawn()
    assert ends(desk, record).attempt == 1
    leaves_rq(desk, record)


def test_worker_killed_between_storing_and_committing(desk: Desk, spawn: Spawn, gates: Path) -> None:
    first = spawn()
    (gates / "die-at-commit").touch()
    record = desk.submit()
    assert first.wait(PATIENCE_S) == -signal.SIGKILL
    assert attempts(desk, record) == {"1"}
    assert not desk.get(record).state.is_terminal
    lapse(desk, record)
    spawn()
    done = ends(desk, record)
    assert (done.state, done.attempt) == (State.SUCCEEDED, 2)
    leaves_rq(desk, record)
    assert attempts(desk, record) == {"2"}


def test_worker_killed_right_after_the_commit(desk: Desk, spawn: Spawn, gates: Path) -> None:
    first = spawn()
    (gates / "die-after-commit").touch()
    record = desk.submit()
    assert first.wait(PATIENCE_S) == -signal.SIGKILL
    done = ends(desk, record)
    assert (done.state, done.attempt) == (State.SUCCEEDED, 1)
    spawn()  # its reaper tidies up
    wait_until(lambda: desk.queue.taken("demo") == set() and not Job.exists(record.id, connection=desk.redis))
    assert desk.get(record) == done


def test_worker_killed_while_waiting_for_storage(desk: Desk, spawn: Spawn) -> None:
    first, second = spawn(), spawn()
    first.kill()
    first.wait()
    records = [desk.submit(priority=each) for each in ("normal", "low", "normal")]
    assert {ends(desk, record).state for record in records} == {State.SUCCEEDED}
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE_S) == 0


def test_resumed_worker_without_claim_leaves_no_objects(desk: Desk, spawn: Spawn, gates: Path) -> None:
    """It wakes up after its edit was over and stores what it computed; it finds that out at its commit."""
    zombie = spawn()
    (gates / "hang").touch()
    record = desk.submit("hang")
    wait_until(lambda: desk.is_in(record, State.RUNNING))
    zombie.send_signal(signal.SIGSTOP)
    lapse(desk, record)
    spawn()
    wait_until(lambda: desk.get(record).attempt == 2, what="second attempt")
    (gates / "hang").unlink()
    done = ends(desk, record)
    zombie.send_signal(signal.SIGCONT)
    zombie.send_signal(signal.SIGTERM)
    assert zombie.wait(PATIENCE_S) == 0
    assert desk.get(record) == done
    assert attempts(desk, record) == {"2"}


@contextmanager
def redis_that_is_killed(folder: Path) -> Iterator[str]:
    """A Redis server that ends by SIGKILL."""
    embedded = EmbeddedRedis(folder)
    with subprocess.Popen(list(embedded.program().command), stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(embedded.answers, what="Redis")
            yield embedded.url
        finally:
            process.kill()


def test_redis_is_killed_under_running_and_waiting_edits(desk: Desk, gates: Path, tmp_path: Path, spawn: Spawn) -> None:
    (gates / "hold").touch()
    folder = tmp_path / "r"
    with redis_that_is_killed(folder) as url:
        own = Desk(desk.settings.model_copy(update={"redis_url": url}))
        desk.models = own.models  # `spawn` looks there
        spawn(redis_url=url)
        held = own.submit("hold")
        runs(own, held)
        waiting = [own.submit(priority=each) for each in ("low", "normal")]
    (gates / "hold").unlink()
    with redis_that_is_killed(folder):
        # Every write was on disk before it was answered.
        done = [ends(own, record) for record in (held, *waiting)]
        assert [(each.state, each.attempt) for each in done] == [(State.SUCCEEDED, 1)] * 3
        own.close()


@contextmanager
def s3_server(folder: Path, port: int) -> Iterator[None]:
    program = shutil.which("rclone") or str(Path(sys.executable).parent / "rclone")
    command = [program, "serve", "s3", f"--auth-key={S3_KEY},{S3_SECRET}", "--addr", f"127.0.0.1:{port}"]
    with running([*command, "--config=", str(folder)], stderr=subprocess.DEVNULL):
        wait_until(lambda: listens(port), what="S3 server")
        yield


@pytest.fixture
def s3_desk(desk: Desk, tmp_path: Path) -> Desk:
    """On an S3 server of its own, on a port where none listens yet."""
    (tmp_path / "s3" / S3_BUCKET).mkdir(parents=True)
    changes = {
        "storage_url": f"s3://{S3_BUCKET}/edits",
        "s3_endpoint": f"http://127.0.0.1:{free_port()}",
        "s3_access_key_id": S3_KEY,
        "s3_secret_access_key": SecretStr(S3_SECRET),
        "storage_retries": 0,
    }
    settings = desk.settings.model_copy(update=changes)
    desk.settings = settings.model_copy(update={})
    desk.store = type(desk.store).from_settings(settings)
    return desk


def port_of(desk: Desk) -> int:
    return int((desk.settings.s3_endpoint or "").rpartition(":")[2])


def test_storage_goes_away_before_and_under_an_edit_and_returns(
    s3_desk: Desk, spawn: Spawn, gates: Path, tmp_path: Path
) -> None:
    desk, folder, port = s3_desk, tmp_path / "s3", port_of(s3_desk)
    (gates / "hold").touch()
    with s3_server(folder, port):
        spawn()
        held, waiting = desk.submit("hold"), desk.submit()
        runs(desk, held)
    (gates / "hold").unlink()  # done, and nowhere to put it
    wait_until(lambda: desk.is_in(held, State.RUNNING) and desk.is_in(waiting, State.QUEUED))
    with s3_server(folder, port):
        assert [(ends(desk, each).state, desk.get(each).attempt) for each in (held, waiting)] == [
            (State.SUCCEEDED, 1),
            (State.SUCCEEDED, 1),
        ]


def test_long_outage_hands_back_and_finally_fails(s3_desk: Desk, spawn: Spawn, tmp_path: Path) -> None:
    desk = s3_desk
    with s3_server(tmp_path / "s3", port_of(desk)):
        record = desk.submit()
        desk.queue.remove(record)
    spawn(storage_patience_s=0.3)  # its reaper finds the edit
    failed = wait_failed(desk, record.id)
    assert failed == ("storage_unavailable", desk.settings.max_attempts)


def test_cancel_and_stop_reach_an_edit_that_waits_for_storage(s3_desk: Desk, spawn: Spawn, tmp_path: Path) -> None:
    desk = s3_desk
    with s3_server(tmp_path / "s3", port_of(desk)):
        canceled, handed_back = desk.submit(), desk.submit()
    process = spawn(stop_grace_s=0.1, lease_s=1.5)  # an edit without steps hears of a cancel when its lease is renewed
    wait_until(lambda: desk.is_in(canceled, State.RUNNING))
    desk.records.request_cancel(canceled.id)
    wait_until(lambda: desk.is_in(canceled, State.CANCELED))
    wait_until(lambda: desk.is_in(handed_back, State.RUNNING))
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0
    assert (desk.get(handed_back).state, desk.get(handed_back).handed_back) == (State.QUEUED, 1)


def wait_failed(desk: Desk, job_id: str) -> tuple[str, int]:
    """Code and attempts of an edit when it has failed (storage cannot be looked at)."""

    def failed() -> bool:
        found = desk.records.get(job_id)
        return found is not None and found.state is State.FAILED

    wait_until(failed)
    record = desk.records.get(job_id)
    assert record is not None
    assert record.problem is not None
    return record.problem.code, record.attempt
