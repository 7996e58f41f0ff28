"""The life of edits, model-based: Hypothesis plays front ends, workers, zombies and reapers against each other, in any
order and dying anywhere, on a real Redis server; after every step nothing is lost, doubled or brought back.

Time passes when a rule says so: a lease is deleted, a deadline or an expiry is written into the past.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TypeVar, cast, get_args

import hypothesis.strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from jobs import keys
from jobs.errors import AlreadyFinished, QueueFull
from jobs.records.outcomes import Hold
from jobs.schema import PRIORITIES, EditPriority, JobRecord, Priority, Problem, State, UnreadableRecord
from magedit.measures.report import EditMeasures, Progress, Stage
from tests.jobs.conftest import Desk, open_ids, pass_deadline
from worker.reaper import Reaper

MODEL, TENANT = "demo", "local"
LIMIT = 6
ATTEMPTS = 2
PROBLEM = Problem(title="t", status=500, detail="d", code="c")
HALF = Progress(stage=Stage.EDIT, step=2, steps=4, fraction=0.5)

picks = st.integers(min_value=0, max_value=7)
recent = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 5, 8])
"""Mostly the newest claim: only one of an edit can be alive."""
flags = st.booleans()
rarely = st.sampled_from([False, False, False, True])
T = TypeVar("T")


def one(items: list[T], pick: int) -> T:
    return items[-1 - pick % len(items)]


class JobLife(RuleBasedStateMachine):
    """What was promised (`accepted`), and who believes what: ids taken, claims held, by the living and the dead."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        desk.redis.flushall()
        self.desk, self.records, self.queue = desk, desk.records, desk.queue
        self.reaper = Reaper(desk.redis, desk.store, desk.settings)
        self.accepted: dict[str, JobRecord] = {}
        self.pending: list[JobRecord] = []
        """Accepted, and their front end has not put them in line."""
        self.taken: list[str] = []
        self.claims: list[JobRecord] = []
        self.deleted: set[str] = set()
        self.buried: set[str] = set()
        self.over: dict[str, JobRecord] = {}
        """Finished records as they were first seen."""
        self.names = cycle(["worker-a", "worker-b"])

    def ids(self) -> list[str]:
        return [job_id for job_id in self.accepted if job_id not in self.deleted]

    def now(self, job_id: str) -> JobRecord | None:
        found = self.records.get(job_id)
        assert not isinstance(found, UnreadableRecord)
        return found

    def holds(self, claim: JobRecord) -> bool:
        """Whether the claim is the one that counts."""
        found = self.now(claim.id)
        return found is not None and (found.worker, found.attempt) == (claim.worker, claim.attempt)

    # --- front ends ---

    @initialize(kinds=st.lists(st.tuples(st.sampled_from(get_args(EditPriority)), flags), min_size=2, max_size=4))
    def a_line_forms(self, kinds: list[tuple[Priority, bool]]) -> None:
        for priority, deadline in kinds:
            self._submit(priority, deadline, dies=False)

    @rule(priority=st.sampled_from(get_args(EditPriority)), deadline=flags, dies=flags)
    def submit(self, priority: Priority, deadline: bool, dies: bool) -> None:
        self._submit(priority, deadline, dies)

    def _submit(self, priority: Priority, deadline: bool, dies: bool) -> None:
        record = self.desk.record(priority=priority, deadline_s=60 if deadline else None)
        full = len(open_ids(self.records)) >= LIMIT
        try:
            record = self.records.create(record)
        except QueueFull:
            assert full
            assert self.now(record.id) is None
            return
        assert not full
        assert self.records.create(record) == record
        self.accepted[record.id] = record
        if dies:
            self.pending.append(record)
        else:
            self.queue.enqueue(record)

    @precondition(lambda self: self.pending)
    @rule(pick=picks)
    def a_slow_front_end_puts_its_edit_in_line(self, pick: int) -> None:
        record = one(self.pending, pick)
        self.pending.remove(record)
        self.queue.enqueue(record)
        self.queue.enqueue(record)

    @precondition(lambda self: self.ids())
    @rule(pick=picks, dies=rarely, sure=rarely)
    def cancel(self, pick: int, dies: bool, sure: bool) -> None:
        if not sure:
            return
        job_id = one(self.ids(), pick)
        before = self.now(job_id)
        assert before is not None
        try:
            requested = self.records.request_cancel(job_id)
        except AlreadyFinished:
            assert before.state in {State.SUCCEEDED, State.FAILED}
            return
        assert requested == (before.state is not State.CANCELED)
        after = self.now(job_id)
        assert after is not None
        assert after.state is (State.RUNNING if before.state is State.RUNNING else State.CANCELED)
        if before.state is State.QUEUED and not dies:
            self.queue.remove(before)

    @precondition(lambda self: self.ids())
    @rule(pick=picks, sure=rarely)
    def delete(self, pick: int, sure: bool) -> None:
        if not sure:
            return
        job_id = one(self.ids(), pick)
        self.queue.remove(self.accepted[job_id])
        assert self.records.delete(job_id)
        self.deleted.add(job_id)

    # --- workers ---

    @precondition(lambda self: self._waiting())
    @rule()
    def a_worker_begins(self) -> None:
        self._take("claim")

    @rule(then=st.sampled_from(["claim", "stall", "die"]))
    def a_worker_takes(self, then: str) -> None:
        self._take(then)

    def _take(self, then: str) -> None:
        lines = [self._line(priority) for priority in PRIORITIES]
        found = self.queue.dequeue(MODEL)
        heads = [(line[0], priority) for line, priority in zip(lines, PRIORITIES, strict=True) if line]
        assert found == (heads[0] if heads else None)
        if found and then == "claim":
            self._claim(found[0])
        elif found and then == "stall":
            self.taken.append(found[0])

    @precondition(lambda self: self.taken)
    @rule(pick=picks)
    def a_stalled_worker_claims(self, pick: int) -> None:
        job_id = one(self.taken, pick)
        self.taken.remove(job_id)
        self._claim(job_id)

    def _claim(self, job_id: str) -> JobRecord | None:
        before = self.now(job_id)
        # A worker that works on an edit does not take it a second time.
        worker = next(name for name in self.names if before is None or name != before.worker)
        claim = self.records.claim(job_id, worker)
        after = self.now(job_id)
        if claim is not None:
            assert before is not None
            assert (before.state, claim.attempt) == (State.QUEUED, before.attempt + 1)
            assert not self._late(before)
            assert self.records.claim(job_id, worker) == claim == after
            self.claims.append(claim)
            return claim
        if before is not None and before.state is State.QUEUED:
            assert after is not None
            assert after.problem is not None
            worn_out = before.attempt - before.handed_back >= ATTEMPTS
            assert worn_out or self._late(before)
            assert (after.state, after.problem.code) == (State.FAILED, "worker_lost" if worn_out else "deadline")
        else:
            assert after == before
        self.queue.remove_id(job_id, MODEL)
        return None

    def _late(self, record: JobRecord) -> bool:
        return record.deadline_at is not None and record.deadline_at <= self.records.now()

    @precondition(lambda self: self.claims)
    @rule(pick=recent, progress=flags)
    def renew(self, pick: int, progress: bool) -> None:
        claim = one(self.claims, pick)
        before = self.now(claim.id)
        hold = self.records.renew(claim, HALF if progress else None)
        if before is None or not self.holds(claim) or before.state is not State.RUNNING:
            assert hold is Hold.LOST
            assert self.now(claim.id) == before
        else:
            assert hold is (Hold.CANCEL if before.cancel_requested else Hold.KEPT)

    @precondition(lambda self: self.claims)
    @rule(pick=recent, outcome=st.sampled_from([State.SUCCEEDED, State.FAILED, State.CANCELED]), dies=rarely)
    def commit(self, pick: int, outcome: State, dies: bool) -> None:
        claim = one(self.claims, pick)
        before, holds = self.now(claim.id), self.holds(claim)
        state = self._commit(claim, outcome)
        if before is None or not holds:
            assert state is None
        elif before.state.is_terminal:
            assert state is before.state
        else:
            assert before.state is State.RUNNING
            assert state is (State.CANCELED if before.cancel_requested else outcome)
        assert state == self._commit(claim, outcome)
        if state is not None and not dies:
            self.queue.remove(claim)

    def _commit(self, claim: JobRecord, outcome: State) -> State | None:
        if outcome is State.SUCCEEDED:
            return self.records.commit_success(claim, EditMeasures(), [])
        if outcome is State.FAILED:
            return self.records.commit_failure(claim, PROBLEM)
        return self.records.commit_canceled(claim)

    @precondition(lambda self: self.claims)
    @rule(pick=recent, counts=flags)
    def hand_back(self, pick: int, counts: bool) -> None:
        claim = one(self.claims, pick)
        before = self.now(claim.id)
        holds = before is not None and self.holds(claim) and before.state is State.RUNNING
        state = self.queue.hand_back(claim, counts=counts)
        if before is None or not holds:
            assert state is None
            return
        after = self.now(claim.id)
        assert after is not None
        assert state is after.state
        if before.cancel_requested:
            assert state is State.CANCELED
        elif self._late(before):
            assert state is State.FAILED
        else:
            assert state is State.QUEUED
            assert self._line(before.priority)[0] == claim.id
            assert after.handed_back == before.handed_back + (not counts)
        assert self.queue.hand_back(claim, counts=counts) is None

    # --- reapers, and time ---

    @rule()
    def sweep(self) -> None:
        self.reaper.sweep()

    @rule()
    def keep_house(self) -> None:
        self._keep_house()

    def _keep_house(self) -> None:
        self.buried.update(self.reaper.keep_house().expired)

    @precondition(lambda self: self.accepted)
    @rule(pick=picks)
    def a_reaper_that_slept_requeues_what_it_saw(self, pick: int) -> None:
        record = one(list(self.accepted.values()), pick)
        before = self.now(record.id)
        held = self.desk.redis.exists(keys.LEASE + record.id)
        state = self.queue.requeue(record)
        if state is None:
            assert self.now(record.id) == before
        else:
            assert before is not None
            assert not before.state.is_terminal
            assert not held

    @precondition(lambda self: self.claims)
    @rule(pick=recent)
    def a_lease_runs_out(self, pick: int) -> None:
        self.desk.redis.delete(keys.LEASE + one(self.claims, pick).id)

    @precondition(lambda self: self.ids())
    @rule(pick=picks)
    def a_deadline_passes(self, pick: int) -> None:
        record = self.now(one(self.ids(), pick))
        if record is not None and record.deadline_at is not None and record.id not in self.over:
            pass_deadline(self.desk, record)

    @precondition(lambda self: self.over)
    @rule(pick=picks)
    def results_expire(self, pick: int) -> None:
        job_id = one(list(self.over), pick)
        if job_id in self.deleted or job_id in self.buried:
            return
        at = self.records.now() - 1
        self.desk.redis.hset(keys.EDIT + job_id, "expires_at", at)
        self.desk.redis.zadd(keys.EXPIRY, {job_id: at}, xx=True)
        self.over[job_id] = self.over[job_id].model_copy(update={"expires_at": at})

    # --- what holds after every step ---

    @invariant()
    def everything_holds(self) -> None:
        found = self.records.get_many(self.accepted)
        kept = {record.id: record for record in found if isinstance(record, JobRecord)}
        self._nothing_is_lost_or_doubled(kept)
        self._what_is_over_stays_as_it_is(kept)
        self._lists_agree_with_the_records([record for record in kept.values() if record.id not in self.buried])

    def _nothing_is_lost_or_doubled(self, kept: Mapping[str, JobRecord]) -> None:
        assert set(kept) == set(self.ids())
        unfinished = {job_id for job_id, record in kept.items() if not record.state.is_terminal}
        assert open_ids(self.records) == unfinished
        lines = [self._line(priority) for priority in PRIORITIES]
        in_line = [job_id for line in lines for job_id in line]
        assert len(in_line) == len(set(in_line))
        # Whoever waits can be woken.
        assert not in_line or self.desk.redis.llen(keys.BELL + MODEL) == 1
        leases = cast("list[bytes | None]", self.desk.redis.mget([keys.LEASE + job_id for job_id in (*kept, "none")]))
        for record, lease in zip(kept.values(), leases[:-1], strict=True):
            assert record.attempt - record.handed_back <= ATTEMPTS
            if lease is not None:
                assert (record.state, record.worker) == (State.RUNNING, lease.decode())
            if record.state is State.QUEUED and record.id in in_line:
                own = PRIORITIES.index(record.priority)
                ahead = sum(len(line) for line in lines[:own])
                assert self.queue.position(record) == ahead + lines[own].index(record.id)
            elif record.state is State.QUEUED:
                assert self.queue.position(record) is None
        for index in (keys.MISSING, keys.DEADLINES):
            assert {job_id.decode() for job_id in self._sorted(index)} <= unfinished

    def _what_is_over_stays_as_it_is(self, kept: Mapping[str, JobRecord]) -> None:
        for record in kept.values():
            if record.state.is_terminal:
                assert self.over.setdefault(record.id, record) == record
        if self.deleted:
            assert not self.desk.redis.exists(*(keys.LEASE + job_id for job_id in self.deleted))

    def _lists_agree_with_the_records(self, listed: Sequence[JobRecord]) -> None:
        def ids(records: Iterable[JobRecord]) -> list[bytes]:
            return sorted(record.id.encode() for record in records)

        assert self._sorted(f"{keys.TENANT}{TENANT}:all") == ids(listed)
        for state in State:
            in_state = [record for record in listed if record.state is state]
            assert self._sorted(f"{keys.TENANT}{TENANT}:{state}") == ids(in_state)
        assert self._sorted(keys.EXPIRY) == ids(record for record in listed if record.state.is_terminal)

    def _waiting(self) -> bool:
        return any(self._line(priority) for priority in PRIORITIES)

    def _line(self, priority: Priority) -> list[str]:
        ids = cast("list[bytes]", self.desk.redis.lrange(self.queue.line(MODEL, priority), 0, -1))
        return [job_id.decode() for job_id in ids]

    def _sorted(self, key: str) -> list[bytes]:
        return sorted(cast("list[bytes]", self.desk.redis.zrange(key, 0, -1)))

    def teardown(self) -> None:
        """Whoever holds something dies; with a reaper and a worker that live, every edit ends and nothing stays."""
        for claim in self.claims:
            self.desk.redis.delete(keys.LEASE + claim.id)
        for _ in range(LIMIT * (ATTEMPTS + 2)):
            self.reaper.sweep()
            self._keep_house()
            while (found := self.queue.dequeue(MODEL)) is not None:
                claim_now = self._claim(found[0])
                if claim_now is not None:
                    assert self._commit(claim_now, State.SUCCEEDED) is not None
                    self.queue.remove(claim_now)
            if not open_ids(self.records):
                break
        self.reaper.sweep()
        self._keep_house()
        for record in self.records.get_many(self.ids()):
            assert record.state.is_terminal
        self.everything_holds()
        assert self.queue.depth(MODEL) == 0
        assert self.queue.taken(MODEL) == set()
        left = {key.decode() for key in cast("list[bytes]", self.desk.redis.keys("*"))}
        assert not any(key.startswith(("rq:job:", keys.LEASE)) for key in left)
        assert not left & {keys.OPEN, keys.MISSING, keys.DEADLINES}
