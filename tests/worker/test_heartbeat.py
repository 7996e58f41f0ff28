from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs import keys
from jobs.errors import QueueUnavailable
from jobs.records.outcomes import Hold
from jobs.records.previews import Previews
from jobs.schema import JobRecord, State
from magedit.measures.report import EditWarning, Preview, Progress, Stage
from tests.conftest import wait_until
from tests.jobs.conftest import Desk
from tests.worker.models.painter import painting_model
from worker import heartbeat
from worker.heartbeat import EXIT_RESTART, Heartbeat
from worker.models.served_model import ServedModel
from worker.models.shelf import Shelf
from worker.progress import AttemptEnded, Reporter, Stop

HALF = Progress(stage=Stage.EDIT, step=1, steps=2, fraction=0.5)


class Beating:
    """A heartbeat with a claimed edit in hand."""

    def __init__(self, desk: Desk, gates: Path) -> None:
        self.beats, self.away = 0, 0
        self.heart = Heartbeat(desk.records, desk.models, painting_model(gates), "w1", desk.settings, self._also)
        claim = desk.records.claim(desk.submit().id, "w1")
        assert claim is not None
        self.claim: JobRecord = claim
        self.report = Reporter()

    def _also(self) -> None:
        if self.away:
            self.away -= 1
            raise RedisConnectionError("Connection reset by peer")
        self.beats += 1

    def ends_with(self) -> Stop:
        """Why the edit is told to stop."""

        def stopped() -> bool:
            try:
                self.report.check()
            except AttemptEnded as ended:
                reasons.append(ended.reason)
            return bool(reasons)

        reasons: list[Stop] = []
        wait_until(stopped)
        return reasons[0]


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that no slow machine outlasts, and beats that nobody waits for."""
    monkeypatch.setattr(heartbeat, "BEATS_A_LEASE", 3000)


@pytest.fixture
def beating(desk: Desk, gates: Path) -> Iterator[Beating]:
    beating = Beating(desk, gates)
    beating.heart.start()
    beating.heart.hold(beating.claim, beating.report)
    yield beating
    beating.heart.close()


def test_redis_outage_only_misses_heartbeats(desk: Desk, gates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    beating = Beating(desk, gates)
    beating.away = 3  # the first is the start's
    beating.heart.start()
    wait_until(lambda: beating.beats > 0 or bool(ended))
    beating.heart.close()
    assert (beating.away, ended) == (0, [])


def test_heartbeat_announces_until_closed(desk: Desk, gates: Path) -> None:
    beating = Beating(desk, gates)
    beating.heart.start()
    assert desk.models.workers() == {"w1"}
    wait_until(lambda: beating.beats >= 3)
    beating.heart.close()
    assert desk.models.workers() == set()


def test_heartbeat_renews_the_lease_of_a_silent_edit(desk: Desk, beating: Beating) -> None:
    lease = keys.LEASE + beating.claim.id
    half_ms = int(500 * desk.settings.lease_s)
    desk.redis.pexpire(lease, half_ms)
    wait_until(lambda: desk.redis.pttl(lease) > half_ms)
    beating.heart.release()
    # Nobody renews it any more.
    desk.redis.pexpire(lease, 100)
    wait_until(lambda: not desk.redis.exists(lease))


def test_heartbeat_saves_progress(desk: Desk, beating: Beating) -> None:
    beating.report(HALF)
    wait_until(lambda: desk.get(beating.claim).progress == HALF)


def test_heartbeat_stores_a_preview_as_jpeg(desk: Desk, beating: Beating) -> None:
    previews = Previews(desk.redis)
    beating.report.show(Preview(picture=Image.new("RGB", (16, 8), "red"), result=1, step=2, steps=4))
    wait_until(lambda: previews.number(beating.claim.id) == 1)
    kept = previews.get(beating.claim.id)
    assert kept is not None
    assert (kept.result, kept.step, kept.steps) == (1, 2, 4)
    with Image.open(BytesIO(kept.image)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (16, 8))


def test_heartbeat_records_warnings_of_a_running_edit(desk: Desk, beating: Beating) -> None:
    warning = EditWarning(code="likely_to_fail", message="the model does not see 'lamp' there", field="words")
    beating.report.warn(warning)
    wait_until(lambda: warning in desk.get(beating.claim).warnings)
    assert desk.get(beating.claim).state is State.RUNNING
    # Another attempt begins without them.
    desk.queue.hand_back(beating.claim)
    assert warning not in desk.get(beating.claim).warnings


def test_heartbeat_delivers_a_cancel(desk: Desk, beating: Beating) -> None:
    desk.records.request_cancel(beating.claim.id)
    assert beating.ends_with() is Stop.CANCELED


def test_heartbeat_notices_a_lost_claim(desk: Desk, beating: Beating) -> None:
    desk.records.delete(beating.claim.id)
    assert beating.ends_with() is Stop.CLAIM_LOST


def test_heartbeat_ends_an_edit_after_the_grace_time(beating: Beating) -> None:
    beating.heart.stop_within(0.1)
    assert beating.ends_with() is Stop.HANDED_BACK


class Loading:
    """A heartbeat of a worker whose checkpoint takes as long to load as ``load`` does."""

    def __init__(self, desk: Desk, load: Callable[[Loading], None], gates: Path) -> None:
        def loader() -> ServedModel:
            load(self)
            return painting_model(gates)

        self.shelf = Shelf({"demo": loader})
        settings = desk.settings.model_copy(update={"watchdog_s": 0.1})
        self.heart = Heartbeat(desk.records, desk.models, self.shelf, "w1", settings, lambda: None)


@pytest.mark.parametrize("is_held", [True, False], ids=["for an edit", "ordered"])
def test_loading_a_checkpoint_does_not_count_as_hung(
    desk: Desk, gates: Path, monkeypatch: pytest.MonkeyPatch, *, is_held: bool
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)

    def load(loading: Loading) -> None:
        time.sleep(0.5)
        loading.heart.release()

    loading = Loading(desk, load, gates)
    loading.heart.start()
    if is_held:
        claim = desk.records.claim(desk.submit().id, "w1")
        assert claim is not None
        loading.heart.hold(claim, Reporter())
    loading.shelf.get("demo")
    loading.heart.close()
    assert ended == []


def test_a_checkpoint_that_does_not_load_ends_the_process(
    desk: Desk, gates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(heartbeat, "LOADING_S", 0.05)
    loading = Loading(desk, lambda _: wait_until(lambda: bool(ended)), gates)
    loading.heart.start()
    loading.shelf.get("demo")
    loading.heart.close()
    assert set(ended) == {EXIT_RESTART}


def test_changes_during_a_redis_outage_are_published_afterwards(
    desk: Desk, gates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beating, renew, away = Beating(desk, gates), desk.records.renew, [QueueUnavailable("away")] * 2
    warning = EditWarning(code="likely_to_fail", message="the model does not see 'lamp' there", field="words")

    def renew_later(*given: Any) -> Hold:
        if away:
            raise away.pop()
        return renew(*given)

    monkeypatch.setattr(desk.records, "renew", renew_later)
    beating.report(HALF)
    beating.report.warn(warning)
    beating.heart.start()
    beating.heart.hold(beating.claim, beating.report)
    wait_until(lambda: warning in desk.get(beating.claim).warnings)
    beating.heart.close()
    assert desk.get(beating.claim).progress == HALF
    assert away == []
