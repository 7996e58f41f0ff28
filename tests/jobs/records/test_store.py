"""Life of a record, with every way in which two sides can disagree about it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from jobs import keys
from jobs.errors import (
    JobNotFound,
    QueueFull,
    QueueUnavailable,
    RecordUnreadable,
    StoreUnavailable,
)
from jobs.records.outcomes import Hold
from jobs.records.store import Records
from jobs.schema import EditRequest, JobRecord, State, UnreadableRecord
from jobs.settings import Settings
from magedit.config import EditConfig, Region
from tests.conftest import free_port, wait_until
from tests.jobs.conftest import Desk, aged, lapse, open_ids
from tests.jobs.records.claims import HALF, MEASURES, PROBLEM, RESULT, claimed


def test_a_record_round_trips(desk: Desk) -> None:
    request = EditRequest(
        model="demo",
        source_prompt='ein "Zimmer" 🛋',
        target_prompt="b",
        regions=(Region(words=("b",), weight=0.25), Region()),
        artifacts=("attention",),
        config=EditConfig(steps=3, equalizer={"b": 2.0}, guidance_step_size=1.5),
    )
    record = JobRecord(tenant="t", request=request, image="i", masks=("m0", "m1"))
    kept = desk.records.create(record)
    assert kept == record.model_copy(update={"created_at": kept.created_at})
    assert desk.records.get(record.id) == kept
    assert abs(kept.created_at - desk.records.now()) < 60


def test_creating_a_record_is_idempotent(desk: Desk) -> None:
    record = desk.record()
    assert desk.records.create(record) == desk.records.create(record)
    assert len(desk.records.list("local").records) == 1


def test_the_queue_limit_counts_unfinished_edits(desk: Desk) -> None:
    records = Records(desk.redis, desk.settings.model_copy(update={"queue_limit": 2}))
    first, second, third = desk.record(), desk.record(), desk.record()
    records.create(first)
    records.create(second)
    with pytest.raises(QueueFull, match="2 edits are unfinished"):
        records.create(third)
    records.create(second)  # a repeated request is no new edit
    records.request_cancel(first.id)
    records.create(third)


def test_queue_limit_is_exact_under_concurrency(desk: Desk) -> None:
    records = Records(desk.redis, desk.settings.model_copy(update={"queue_limit": 5}))

    def accepted(_: int) -> bool:
        try:
            records.create(desk.record())
        except QueueFull:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(accepted, range(24))) == 5
    assert len(open_ids(desk.records)) == 5


def test_an_id_too_old_for_its_inputs_is_refused(desk: Desk) -> None:
    old = desk.record().model_copy(update={"id": aged(desk.settings.orphan_age_s + 1)})
    with pytest.raises(StoreUnavailable, match="again"):
        desk.records.create(old)
    assert desk.records.get(old.id) is None
    young = desk.record().model_copy(update={"id": aged(desk.settings.orphan_age_s - 60)})
    kept = desk.records.create(young)
    # What is accepted stays so: a repeated request finds it, however old it is.
    patient = Records(desk.redis, desk.settings.model_copy(update={"orphan_age_s": 1.0}))
    assert patient.create(young) == kept


def test_another_tenants_edit_does_not_exist(desk: Desk) -> None:
    record = desk.records.create(desk.record())
    assert desk.records.require(record.id, "local") == record
    for job_id, tenant in ((record.id, "other"), ("0" * 32, "local")):
        with pytest.raises(JobNotFound):
            desk.records.require(job_id, tenant)


def test_lists_page_from_new_to_old_by_state(desk: Desk) -> None:
    made = [desk.records.create(desk.record()) for _ in range(5)]
    desk.records.create(desk.record(tenant="other"))
    desk.records.request_cancel(made[2].id)
    newest_first = sorted((record.id for record in made), reverse=True)
    seen, cursor = [], None
    for _ in range(3):
        page = desk.records.list("local", limit=2, cursor=cursor)
        seen += [record.id for record in page.records]
        cursor = page.cursor
    assert (seen, cursor) == (newest_first, None)
    assert [r.id for r in desk.records.list("local", State.CANCELED).records] == [made[2].id]
    assert len(desk.records.list("local", State.QUEUED).records) == 4


def test_success(desk: Desk) -> None:
    claim = claimed(desk)
    assert (claim.state, claim.attempt, claim.worker) == (State.RUNNING, 1, "w1")
    assert desk.records.renew(claim, HALF) is Hold.KEPT
    assert desk.get(claim).progress == HALF
    last = replace(HALF, step=HALF.steps, fraction=1.0)
    assert desk.records.commit_success(claim, MEASURES, [RESULT], [RESULT], last) is State.SUCCEEDED
    done = desk.get(claim)
    assert done.progress == last
    assert (done.state, done.measures, done.results, done.artifacts) == (
        State.SUCCEEDED,
        MEASURES,
        (RESULT,),
        (RESULT,),
    )
    assert done.finished_at is not None
    assert done.expires_at == pytest.approx(done.finished_at + desk.settings.result_ttl_s)
    assert open_ids(desk.records) == set()


def test_failure(desk: Desk) -> None:
    claim = claimed(desk)
    assert desk.records.commit_failure(claim, PROBLEM) is State.FAILED
    assert desk.get(claim).problem == PROBLEM


def test_one_claim_at_a_time(desk: Desk) -> None:
    record = desk.submit()
    claims: list[JobRecord | None] = []
    threads = [
        threading.Thread(target=lambda n=n: claims.append(desk.records.claim(record.id, f"w{n}"))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([claim for claim in claims if claim]) == 1
    assert desk.get(record).attempt == 1


def test_a_claim_whose_answer_was_lost_can_be_repeated(desk: Desk) -> None:
    claim = claimed(desk)
    assert desk.records.claim(claim.id, "w1") == claim
    assert desk.records.claim(claim.id, "w2") is None


def test_a_commit_whose_answer_was_lost_can_be_repeated(desk: Desk) -> None:
    claim = claimed(desk)
    desk.records.commit_success(claim, MEASURES, [RESULT])
    done = desk.get(claim)
    assert desk.records.commit_success(claim, MEASURES, [RESULT]) is State.SUCCEEDED
    assert desk.records.commit_failure(claim, PROBLEM) is State.SUCCEEDED
    assert desk.get(claim) == done


def test_a_zombie_can_neither_renew_nor_commit(desk: Desk) -> None:
    zombie = claimed(desk, "zombie")
    lapse(desk, zombie)
    assert desk.queue.requeue(zombie) is State.QUEUED

    def is_powerless() -> bool:
        commits = (
            desk.records.commit_success(zombie, MEASURES, []),
            desk.records.commit_failure(zombie, PROBLEM),
            desk.records.commit_canceled(zombie),
        )
        return desk.records.renew(zombie, HALF) is Hold.LOST and commits == (None, None, None)

    assert is_powerless()  # while the edit waits
    claim = desk.records.claim(zombie.id, "w2")
    assert claim is not None
    assert claim.attempt == 2
    assert is_powerless()  # while another works on it
    assert desk.records.commit_success(claim, MEASURES, [RESULT]) is State.SUCCEEDED
    assert desk.records.commit_success(zombie, MEASURES, []) is None
    assert desk.get(zombie).results == (RESULT,)


def test_a_late_renewal_keeps_an_unclaimed_edit(desk: Desk) -> None:
    claim = claimed(desk)
    lapse(desk, claim)
    assert desk.records.renew(claim) is Hold.KEPT
    assert desk.queue.requeue(claim) is None


def test_requeue_ignores_held_queued_and_finished_edits(desk: Desk) -> None:
    claim = claimed(desk)
    queued = desk.submit()
    assert desk.queue.requeue(queued) is None
    assert desk.queue.requeue(claim) is None
    desk.records.commit_success(claim, MEASURES, [])
    assert desk.queue.requeue(claim) is None
    assert desk.queue.waiting("demo") == {queued.id}


def test_a_poison_edit_fails_after_its_attempts(desk: Desk) -> None:
    record = desk.submit()
    for attempt in (1, 2):
        claim = desk.records.claim(record.id, f"w{attempt}")
        assert claim is not None
        assert claim.attempt == attempt
        lapse(desk, record)
        desk.queue.remove(record)
        desk.queue.requeue(record)
    assert desk.records.claim(record.id, "w3") is None
    failed = desk.get(record)
    assert (failed.state, failed.attempt) == (State.FAILED, 2)
    assert failed.problem is not None
    assert failed.problem.code == "worker_lost"
    assert open_ids(desk.records) == set()


def test_handed_back_edit_does_not_count_as_a_death(desk: Desk) -> None:
    record = desk.submit()
    for attempt in range(1, 6):
        claim = desk.records.claim(record.id, f"w{attempt}")
        assert claim is not None
        assert claim.attempt == attempt
        desk.queue.hand_back(claim)
        desk.queue.hand_back(claim)  # the answer was lost
    waiting = desk.get(record)
    assert (waiting.state, waiting.attempt, waiting.handed_back, waiting.worker) == (State.QUEUED, 5, 5, None)


def test_edit_is_overdue_only_after_the_grace_time(desk: Desk) -> None:
    record = desk.records.create(desk.record())  # its front end died before it put it in line
    assert desk.queue.overdue(["demo"], 0.3) == ()
    wait_until(lambda: desk.queue.overdue(["demo"], 0.3) == (record.id,))
    desk.queue.enqueue(record)
    assert desk.queue.overdue(["demo"], 0.0) == ()  # it was seen in line: patience begins anew
    desk.queue.remove(record)
    assert desk.queue.overdue(["demo"], 0.3) == ()


def test_held_and_finished_edits_are_never_overdue(desk: Desk) -> None:
    claim = claimed(desk)
    assert desk.queue.overdue(["demo"], 0.0) == ()
    lapse(desk, claim)
    assert desk.queue.overdue(["demo"], 0.0) == (claim.id,)
    desk.records.commit_success(claim, MEASURES, [])
    assert desk.queue.overdue(["demo"], 0.0) == ()
    assert desk.redis.zcard(keys.MISSING) == 0


def test_open_among(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit()
    desk.records.request_cancel(first.id)
    assert desk.records.open_among([first.id, second.id, "0" * 32]) == {second.id}
    assert desk.records.open_among([]) == set()


def test_expired_edits_are_reported_as_expired_for_a_while(desk: Desk) -> None:
    records = Records(desk.redis, desk.settings.model_copy(update={"result_ttl_s": 0.05}))
    record = desk.submit()
    records.request_cancel(record.id)
    wait_until(lambda: bool(records.expired()))
    assert [expired.id for expired in records.expired()] == [record.id]
    records.bury(record.id)
    assert records.expired() == ()
    assert records.list("local").records == ()
    assert desk.get(record).is_expired(records.now())
    assert 0 < desk.redis.ttl(keys.EDIT + record.id) <= 24 * 3600


def test_every_method_reports_a_redis_outage() -> None:
    desk = Desk(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0", redis_retries=0, storage_url="memory:"))
    record = desk.record()
    for call in (
        lambda: desk.records.create(record),
        lambda: desk.records.get(record.id),
        lambda: desk.records.claim(record.id, "w"),
        lambda: desk.records.renew(record),
        lambda: desk.records.commit_canceled(record),
        lambda: desk.queue.enqueue(record),
        lambda: desk.queue.position(record),
        lambda: desk.models.all(),
    ):
        with pytest.raises(QueueUnavailable):
            call()


def test_the_revision_grows_with_every_change(desk: Desk) -> None:
    record = desk.submit()

    def revision() -> int:
        found = desk.records.revisions([record.id])[record.id]
        assert found == desk.get(record).revision
        return found or 0

    seen = [revision()]
    claim = desk.records.claim(record.id, "w1")
    assert claim is not None
    seen.append(revision())
    desk.records.renew(claim)
    assert revision() == seen[-1]  # a lease is nothing that callers see
    for change in (
        lambda: desk.records.renew(claim, HALF),
        lambda: desk.records.request_cancel(record.id),
        lambda: desk.records.commit_canceled(claim),
    ):
        change()
        seen.append(revision())
    assert seen == sorted(set(seen))
    desk.records.delete(record.id)
    assert desk.records.revisions([record.id]) == {record.id: None}
    assert desk.records.revisions([]) == {}


def test_unreadable_record_does_not_affect_others(desk: Desk) -> None:
    first, foreign, last = desk.submit(), desk.submit(priority="low"), desk.submit()
    desk.redis.hset(keys.EDIT + foreign.id, "field_of_tomorrow", "1")
    ids = [first.id, foreign.id, last.id]
    found = desk.records.get_many([*ids, "0" * 32])
    assert found == (first, desk.records.look(foreign.id, "local"), last)
    remains = found[1]
    assert isinstance(remains, UnreadableRecord)
    assert (remains.id, remains.state, remains.model, remains.priority) == (foreign.id, State.QUEUED, "demo", "low")
    assert remains.created_at == foreign.created_at
    with pytest.raises(RecordUnreadable):
        desk.records.require(foreign.id, "local")
    with pytest.raises(JobNotFound):
        desk.records.require(foreign.id, "acme")
    assert [record.id for record in desk.records.list("local").records] == [last.id, foreign.id, first.id]
    assert desk.records.places([*ids, "0" * 32])[1] == (foreign.id, "demo", "low", 0)
