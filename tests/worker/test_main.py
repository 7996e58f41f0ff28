"""`python -m worker` with a real checkpoint, Redis and S3."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from jobs.schema import State
from jobs.settings import Settings
from jobs.storage import sha256
from magedit.config import EditConfig
from magedit.measures.report import Stage
from tests.conftest import PATIENCE_S, running, wait_until
from tests.jobs.conftest import Desk
from tests.jobs.test_models import TOKENIZER, info
from tests.worker.conftest import CHECKPOINT, environment
from worker.__main__ import warn_of_another


@pytest.fixture
def s3_desk(s3_settings: Settings) -> Iterator[Desk]:
    desk = Desk(s3_settings.model_copy(update={"checkpoint": str(CHECKPOINT), "device": "cpu"}))
    yield desk
    desk.close()


def test_worker_starts_runs_and_stops(s3_desk: Desk) -> None:
    desk = s3_desk
    record = desk.submit("red", config=EditConfig(steps=3, max_iterations=1), artifacts=("attention",))
    env = environment(desk.settings)
    with running([sys.executable, "-m", "worker"], env=env) as process:
        wait_until(lambda: process.poll() is not None or desk.get(record).state.is_terminal, what="edit")
        done = desk.get(record)
        assert done.state is State.SUCCEEDED, done.problem
        for stored in (*done.results, *done.artifacts):
            assert sha256(desk.store.get(stored.key)) == stored.sha256
        assert done.progress is not None
        assert done.measures is not None
        assert set(done.measures.stage_seconds) == set(Stage) - {Stage.OPTIMIZE}
        assert subprocess.run([sys.executable, "-m", "worker.health"], env=env, check=False).returncode == 0
        assert desk.models.require("demo", desk.settings).workers == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert desk.models.all()["demo"].workers == 0


def test_another_checkpoint_under_the_same_name_is_warned_of(desk: Desk) -> None:
    mine = info()
    desk.models.announce(mine, "w1", 60, TOKENIZER)
    with capture_logs() as logs:
        warn_of_another(desk.models, mine)
        warn_of_another(desk.models, info("another name"))
    assert logs == []
    with capture_logs() as logs:
        warn_of_another(desk.models, mine.model_copy(update={"checkpoint": "another folder"}))
    (warning,) = logs
    assert (warning["model"], warning["checkpoint"], warning["other"]) == ("demo", "another folder", "folder")
    assert "another worker serves a different checkpoint under this name" in warning["event"]
    # A worker that is gone leaves its name to others.
    desk.models.withdraw(mine, "w1")
    with capture_logs() as logs:
        warn_of_another(desk.models, mine.model_copy(update={"checkpoint": "another folder"}))
    assert logs == []
