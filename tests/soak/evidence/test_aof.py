from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import keys
from jobs.schema import State
from jobs.settings import Settings
from magedit.measures.report import EditMeasures
from tests.conftest import redis_server
from tests.jobs.conftest import Desk
from tests.soak.evidence.aof import Life, commands, files, lives, read


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with redis_server(tmp_path / "redis") as url:
        desk = Desk(Settings(redis_url=url, state_dir=tmp_path / "state", lease_s=0.05))
        yield desk
        desk.close()


def test_lifecycle_is_read_from_a_real_servers_file(desk: Desk, tmp_path: Path) -> None:
    record = desk.submit()
    first = desk.records.claim(record.id, "w-1-x")
    assert first is not None
    desk.queue.hand_back(first)
    second = desk.records.claim(record.id, "w-2-x")
    assert second is not None
    assert desk.records.commit_success(first, EditMeasures(), ()) is None
    desk.records.commit_success(second, EditMeasures(), ())
    desk.records.commit_success(second, EditMeasures(), ())
    life = read(tmp_path / "redis")[record.id]
    assert life.states == ["queued", "running", "queued", "running", "succeeded"]
    assert [attempt.worker for attempt in life.attempts] == ["w-1-x", "w-2-x"]
    assert life.attempts[1].started_at == desk.get(record).started_at
    assert (life.ends, life.committed, life.finished_at) == (1, 1, [desk.get(record).finished_at])


def test_second_commit_is_detected(desk: Desk, tmp_path: Path) -> None:
    record = desk.submit()
    for _ in range(2):
        desk.redis.hset(keys.EDIT + record.id, mapping={"state": State.SUCCEEDED, "results": "[]"})
    life = read(tmp_path / "redis")[record.id]
    assert (life.ends, life.committed) == (2, 2)


def test_removed_record_is_detected(desk: Desk, tmp_path: Path) -> None:
    record = desk.submit()
    desk.records.delete(record.id)
    assert read(tmp_path / "redis")[record.id].removed == 1


def test_truncated_end_is_ignored() -> None:
    whole = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
    for size in range(len(whole)):
        assert list(commands(io.BytesIO(whole + b"#TS:1\r\n" + whole[:size]))) == [[b"SELECT", b"0"]]


def test_rewritten_file_is_rejected() -> None:
    with pytest.raises(ValueError, match="REDIS0009"):
        list(commands(io.BytesIO(b"REDIS0009 ...")))


def test_the_increments_of_redis_7_are_read_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    for number in (10, 9):
        (folder / f"appendonly.aof.{number}.incr.aof").touch()
    (folder / "appendonly.aof.1.base.rdb").touch()
    assert [file.name.split(".")[2] for file in files(tmp_path)] == ["9", "10"]


def test_other_keys_are_ignored() -> None:
    assert lives([[b"HSET", b"rq:job:1", b"state", b"queued"], [b"PING"]]) == {}
    assert lives([[b"HSET", keys.EDIT.encode() + b"1", b"state", b"queued"]]) == {"1": Life(states=["queued"])}
