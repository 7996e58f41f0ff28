from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from jobs.errors import ObjectNotFound, StoreUnavailable
from jobs.settings import Settings
from jobs.storage import ObjectStore
from tests.conftest import wait_until
from worker import retrying_store
from worker.progress import AttemptEnded, Reporter, Stop
from worker.retrying_store import RetryingStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A folder whose `t` is a file: nothing below it can be read or written until `back`."""
    monkeypatch.setattr(retrying_store, "PAUSE_S", 0.01)
    store = ObjectStore.from_settings(Settings(state_dir=tmp_path))
    store.put("t/a", b"before", "text/plain")
    shutil.move(tmp_path / "objects" / "t", tmp_path / "away")
    (tmp_path / "objects" / "t").write_text("")
    return store


def back(tmp_path: Path) -> None:
    (tmp_path / "objects" / "t").unlink()
    shutil.move(tmp_path / "away", tmp_path / "objects" / "t")


def test_retries_through_an_outage(store: ObjectStore, tmp_path: Path) -> None:
    patient = RetryingStore(store, Reporter(), 60)
    returning = threading.Timer(0.2, back, [tmp_path])
    returning.start()
    assert patient.get("t/a") == b"before"
    patient.put("t/b", b"after", "text/plain")
    assert store.get("t/b") == b"after"


def test_retries_end_at_the_time_limit(store: ObjectStore) -> None:
    with pytest.raises(StoreUnavailable):
        RetryingStore(store, Reporter(), 0.05).put("t/b", b"x", "text/plain")


def test_a_missing_object_is_not_retried(store: ObjectStore) -> None:
    with pytest.raises(ObjectNotFound):
        RetryingStore(store, Reporter(), 60).get("u/a")


def test_waiting_reports_liveness_and_can_be_stopped(store: ObjectStore) -> None:
    report = Reporter()
    ended: list[Stop] = []

    def read() -> None:
        try:
            RetryingStore(store, report, 60).get("t/a")
        except AttemptEnded as error:
            ended.append(error.reason)

    reading = threading.Thread(target=read)
    reading.start()
    report._alive -= 100
    wait_until(lambda: report.silence_s < 50)
    report.stop(Stop.CANCELED)
    reading.join()
    assert ended == [Stop.CANCELED]
