"""What no edit knows leaves storage; what any edit knows stays. In a folder and on a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs import keys
from jobs.errors import StoreUnavailable
from jobs.records.store import Records
from jobs.schema import JobRecord, State
from jobs.settings import Settings
from jobs.storage import ObjectStore, job_prefix, result_key
from magedit.measures.report import EditMeasures
from tests.conftest import free_port, wait_until
from tests.jobs.conftest import Desk, aged
from worker import orphans
from worker.orphans import DEPLOYMENT_KEY, Orphans


@pytest.fixture(params=["folder", "s3"])
def desk(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Desk]:
    if request.param == "s3":
        settings = request.getfixturevalue("s3_settings")
    desk = Desk(settings)
    yield desk
    desk.close()


def searched(desk: Desk) -> tuple[str, ...]:
    """What a whole search removes."""
    desk.redis.delete(keys.ORPHANS)
    search = Orphans(desk.redis, desk.records, desk.store, desk.settings)
    removed = search.step()
    while search._search is not None:
        removed += search.step()
    return removed


def inputs(desk: Desk, job_id: str, tenant: str = "local") -> str:
    """Inputs without a record; their prefix."""
    prefix = job_prefix(tenant, job_id)
    for name in ("image.png", "mask-0.png"):
        desk.store.put(f"{prefix}input/{name}", b"x", "image/png")
    return prefix


def leave(desk: Desk, claim: JobRecord, attempt: int) -> str:
    """What an attempt stored; its key."""
    key = result_key(claim.model_copy(update={"attempt": attempt}), "result-0.png")
    desk.store.put(key, b"x", "image/png")
    return key


def test_old_inputs_without_a_record_are_removed(desk: Desk) -> None:
    age = desk.settings.orphan_age_s
    old = [inputs(desk, aged(age + 60), tenant) for tenant in ("local", "other")]
    young = [inputs(desk, aged(age - 60)), inputs(desk, aged(0)), inputs(desk, aged(-3600))]
    foreign = ["local/notes/a.txt", "some.thing/else", "local/file"]
    for key in foreign:
        desk.store.put(key, b"x", "text/plain")
    assert searched(desk) == tuple(old)
    assert [desk.store.keys(prefix) for prefix in old] == [[], []]
    assert [len(desk.store.keys(prefix)) for prefix in young] == [2, 2, 2]
    assert all(desk.store.size(key) == 1 for key in foreign)
    assert searched(desk) == ()


def test_objects_of_known_edits_are_kept(desk: Desk) -> None:
    # Ids of yesterday: only their records protect them.
    queued, running, done = (
        desk.record().model_copy(update={"id": aged(desk.settings.orphan_age_s - 60)}) for _ in range(3)
    )
    for record in (queued, running, done):
        desk.records.create(record)
        inputs(desk, record.id)
    claim, finished = (desk.records.claim(record.id, "w") for record in (running, done))
    assert claim is not None
    assert finished is not None
    kept = [leave(desk, claim, 1), leave(desk, claim, 7), leave(desk, finished, 1)]
    desk.records.commit_success(finished, EditMeasures(), [])
    impatient = desk.settings.model_copy(update={"orphan_age_s": 1.0})
    search = Orphans(desk.redis, desk.records, desk.store, impatient)
    assert search.step() == ()
    assert all(desk.store.size(key) == 1 for key in kept)
    assert all(len(desk.store.keys(job_prefix("local", record.id) + "input/")) == 2 for record in (queued, running))


def test_leftovers_of_dead_attempts_are_removed(desk: Desk) -> None:
    succeeded, failed = desk.submit(), desk.submit()
    for record in (succeeded, failed):
        first = desk.records.claim(record.id, "zombie")
        assert first is not None
        desk.queue.hand_back(first)
    second = desk.records.claim(succeeded.id, "w")
    assert second is not None
    desk.records.commit_success(second, EditMeasures(), [])
    desk.records.request_cancel(failed.id)
    result = leave(desk, second, 2)
    dead = [leave(desk, succeeded, 1), leave(desk, failed, 1)]
    removed = searched(desk)
    assert sorted(removed) == sorted(key.removesuffix("result-0.png") for key in dead)
    assert desk.store.size(result) == 1
    assert len(desk.store.keys(job_prefix("local", succeeded.id) + "input/")) == 2


def test_late_writes_of_an_expired_edit_are_removed(desk: Desk) -> None:
    brief = Records(desk.redis, desk.settings.model_copy(update={"result_ttl_s": 0.01}))
    record = desk.submit()
    brief.request_cancel(record.id)
    wait_until(lambda: brief.expired() != ())
    brief.bury(record.id)
    assert searched(desk) == (job_prefix("local", record.id),)
    assert desk.is_in(record, State.CANCELED)


def test_storage_of_another_deployment_is_not_touched(desk: Desk) -> None:
    orphan = inputs(desk, aged(desk.settings.orphan_age_s + 60))
    desk.store.put(DEPLOYMENT_KEY, b"somebody else's", "text/plain")
    assert searched(desk) == ()
    assert len(desk.store.keys(orphan)) == 2
    desk.store.delete_prefix(".magedit/")
    assert searched(desk) == (orphan,)
    desk.redis.delete(keys.DEPLOYMENT)  # Redis comes up empty: now every edit looks like an orphan
    orphan = inputs(desk, aged(desk.settings.orphan_age_s + 60))
    assert searched(desk) == ()
    assert len(desk.store.keys(orphan)) == 2


def test_search_runs_once_per_interval_in_small_steps(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "STEP_JOBS", 2)
    all_of_them = [inputs(desk, aged(desk.settings.orphan_age_s + 60 - n)) for n in range(5)]
    one, other = (Orphans(desk.redis, desk.records, desk.store, desk.settings) for _ in range(2))
    assert one.step() == tuple(all_of_them[:2])
    assert other.step() == ()
    assert [one.step(), one.step(), one.step()] == [tuple(all_of_them[2:4]), tuple(all_of_them[4:]), ()]
    assert one.step() == ()
    assert 0 < desk.redis.pttl(keys.ORPHANS) <= desk.settings.orphan_interval_s * 1000


def test_outage_only_ends_the_search(settings: Settings) -> None:
    away = Settings(
        redis_url=settings.redis_url,
        storage_url="s3://bucket",
        s3_endpoint=f"http://127.0.0.1:{free_port()}",
        s3_access_key_id="key",
        storage_retries=0,
    )
    desk = Desk(settings)
    search = Orphans(desk.redis, desk.records, ObjectStore.from_settings(away), away)
    with pytest.raises(StoreUnavailable):
        search.step()
    assert search.step() == ()
    desk.redis.delete(keys.ORPHANS)
    with pytest.raises(StoreUnavailable):
        search.step()
    desk.close()


def test_an_unreadable_record_keeps_its_objects(desk: Desk) -> None:
    """A record of another version is a record: its edit may be under way on that version's worker."""
    record = desk.record().model_copy(update={"id": aged(desk.settings.orphan_age_s - 60)})
    desk.records.create(record)
    inputs(desk, record.id)
    desk.redis.hset(keys.EDIT + record.id, "field_of_tomorrow", "1")
    impatient = desk.settings.model_copy(update={"orphan_age_s": 1.0})
    assert Orphans(desk.redis, desk.records, desk.store, impatient).step() == ()
    assert len(desk.store.keys(job_prefix("local", record.id) + "input/")) == 2
