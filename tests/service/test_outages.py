"""What a caller is told when Redis or storage refuses, and what holds all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from redis import Redis

from jobs.connection import connect
from jobs.errors import QueueUnavailable
from jobs.models import Models
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.settings import Settings
from jobs.storage import ObjectStore
from tests.conftest import redis_server
from tests.jobs.conftest import open_ids
from tests.jobs.test_connection import REFUSALS
from tests.service.conftest import Form, assert_problem, model_info, serving, tokenizer_json
from worker.reaper import Reaper


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Settings, Redis]]:
    """Settings on a Redis server that may be made to refuse, and its client; the model has a worker."""
    with redis_server(tmp_path / "r") as url, Redis.from_url(url) as redis:
        Models(redis).announce(model_info(), "worker-1", 60, tokenizer_json())
        yield Settings(redis_url=url, redis_retries=0, state_dir=tmp_path / "state"), redis


@pytest.mark.parametrize("refusal", REFUSALS)
def test_redis_refusal_is_503_and_accepts_nothing(
    refusal: str, own: tuple[Settings, Redis], form: Form, tmp_path: Path
) -> None:
    settings, redis = own
    with serving(settings) as client:
        REFUSALS[refusal](redis, tmp_path / "r")
        response = form.send(client)
        assert_problem(response, 503, "queue_unavailable")
        assert int(response.headers["retry-after"]) > 0
    assert open_ids(Records(redis, settings)) == set()
    redis.config_set("save", "")  # or it would try to save until it is killed


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> Iterator[None]:
    """Redis goes away when ``method`` is called, and comes back at the end."""

    def away(*_: object, **__: object) -> None:
        raise QueueUnavailable("the job queue cannot be reached; try again in a moment")

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, away)
        yield


def test_redis_outage_between_record_and_queue_loses_nothing(
    own: tuple[Settings, Redis], form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = own
    with serving(settings) as client:
        with dying(monkeypatch, JobQueue, "enqueue"), dying(monkeypatch, Models, "all"):
            # The models were asked for before.
            monkeypatch.setattr(Models, "require", lambda *_: _status())
            response = form.send(client)
        assert response.status_code == 202, response.text
        edit = response.json()
        assert (edit["state"], edit["queue_position"]) == ("queued", None)
        with connect(settings) as connection:
            reaper = Reaper(
                connection,
                ObjectStore.from_settings(settings),
                settings.model_copy(update={"reaper_grace_s": 0.0}),
            )
            assert reaper.sweep().requeued == (edit["id"],)
        found: httpx.Response = client.get(f"/v1/edits/{edit['id']}")
        assert found.json()["queue_position"] == 0


def _status() -> object:
    class Status:
        info = model_info()

    return Status()


def test_failed_input_upload_leaves_nothing(own: tuple[Settings, Redis], form: Form) -> None:
    settings, redis = own
    folder = settings.state_dir / "objects"
    folder.mkdir(parents=True)
    (folder / "local").write_text("a file where a folder should be")
    with serving(settings) as client:
        response = form.send(client)
    assert_problem(response, 503, "storage_unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert open_ids(Records(redis, settings)) == set()
