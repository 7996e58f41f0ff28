"""Records of edits in Redis: created once, claimed, renewed and committed under a fencing token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import structlog
from redis import Redis

from jobs import keys
from jobs.connection import redis_errors
from jobs.errors import (
    AlreadyFinished,
    JobExpired,
    JobNotFound,
    KeyReused,
    QueueFull,
    QuotaExhausted,
    RecordUnreadable,
    StoreUnavailable,
    TooManyUnfinished,
)
from jobs.lua import load
from jobs.records.encoding import decode_pairs, encode, flat, read, request_parts
from jobs.records.idempotency import Reservation
from jobs.records.outcomes import OVERDUE, WORKER_LOST, Expired, Hold, Page, Place
from jobs.records.previews import PREVIEW_TTL_S, EditPreview
from jobs.schema import (
    UNREADABLE,
    AnyRecord,
    JobKind,
    JobRecord,
    MaskRecord,
    Priority,
    Problem,
    State,
    StoredObject,
    id_time,
)
from jobs.settings import Settings
from jobs.tenants.limits import Limits
from magedit.masks.candidates import Candidate, Finder
from magedit.measures.report import EditMeasures, EditWarning, Progress

# How long an expired record still answers "expired" instead of "not found", in seconds.
TOMBSTONE_S = 24 * 3600
NO_LIMITS = Limits()

_TITLE = "The edit could not be carried out"
_LOST = Problem(
    title=_TITLE,
    status=500,
    detail="Every worker that began this edit died before finishing it.",
    code="worker_lost",
)
_OVERDUE = Problem(
    title=_TITLE,
    status=504,
    detail="No worker could begin this edit before its deadline.",
    code="deadline",
)
ENDED_BY_REDIS = (_LOST, _OVERDUE)
"""Problems of edits that failed without a worker."""

_WORKER_LOST, _LATE = WORKER_LOST.model_dump_json(), OVERDUE.model_dump_json()

log = structlog.get_logger()


class Records:
    """All reads and writes of job records. Safe to share between threads.

    Every method raises `QueueUnavailable` while Redis is away.
    """

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self._lease_ms = int(settings.lease_s * 1000)
        self._ttl_s = settings.result_ttl_s
        self._max_attempts = settings.max_attempts
        self._limit = settings.queue_limit
        self._orphan_age_s = settings.orphan_age_s
        self._key_ttl_ms = int(settings.idempotency_ttl_s * 1000)
        self._create = redis.register_script(load("edits/create"))
        self._claim = redis.register_script(load("edits/claim"))
        self._renew = redis.register_script(load("edits/renew"))
        self._commit = redis.register_script(load("edits/commit"))
        self._cancel = redis.register_script(load("edits/cancel"))
        self._requeue = redis.register_script(load("edits/requeue"))
        self._overdue = redis.register_script(load("edits/overdue"))
        self._overtime = redis.register_script(load("edits/overtime"))
        self._forget = redis.register_script(load("edits/forget"))

    # The front end's side

    @redis_errors()
    def create(
        self, record: JobRecord, *, limits: Limits = NO_LIMITS, reservation: Reservation | None = None
    ) -> JobRecord:
        """Store a new record and bind its `Idempotency-Key`; returns it with `created_at`, `deadline_at`. Repeatable.

        Returns the record of another edit, and creates none, if the key is already bound to that edit.

        Raises:
            QueueFull: too many edits are unfinished.
            TooManyUnfinished, QuotaExhausted: the tenant is at its limit.
            StoreUnavailable: the id is so old that its inputs may have been swept.
            KeyReused: the key is bound to an edit of another payload.
            JobExpired: the edit that the key is bound to is gone.
            RecordUnreadable: another version of this program created the edit that the key is bound to.
        """
        born = id_time(record.id)
        options = (self._limit, record.request.deadline_s or "", "" if born is None else born, self._orphan_age_s)
        key = (reservation.key, reservation.fingerprint, self._key_ttl_ms) if reservation else ("", "", "")
        most, further = limits.unet_passes_per_month, record.further_passes
        # An edit is accepted while any passes are left, further results only if their minimum of passes is left.
        if most and further >= most:
            raise _quota_exhausted(most, further)
        of_tenant = (limits.unfinished, most and most - further)
        fields = flat(encode(record))
        answer = self._create(args=[record.id, record.tenant, record.model, *options, *of_tenant, *key, *fields])
        if answer[0] == b"old":
            raise StoreUnavailable("storing the pictures took too long; send them again")
        if answer[0] == b"full":
            raise QueueFull(f"{self._limit} edits are unfinished, which is this service's limit; try again later")
        if answer[0] == b"unfinished":
            raise TooManyUnfinished(f"a tenant may have {limits.unfinished} unfinished edits; try again later")
        if answer[0] == b"quota":
            raise _quota_exhausted(most, further)
        if answer[0] == b"reused":
            raise KeyReused
        if answer[0] == b"replay":
            return _readable(self.bound(answer[1].decode(), record.tenant, record.kind))
        return decode_pairs(answer[1])

    def bound(self, job_id: str, tenant: str, kind: JobKind = "edit") -> AnyRecord:
        """The edit (or mask) that an `Idempotency-Key` of the tenant is bound to. Raises JobExpired if it is gone."""
        try:
            return self.look(job_id, tenant, kind)
        except JobNotFound as error:
            raise JobExpired(f"the edit of this Idempotency-Key, {job_id}, has expired or was deleted") from error

    @redis_errors()
    def get(self, job_id: str) -> AnyRecord | None:
        """The record as far as it is readable, or None."""
        fields = cast("dict[bytes, bytes]", self.redis.hgetall(keys.EDIT + job_id))
        return read(job_id, fields) if fields else None

    def look(self, job_id: str, tenant: str, kind: JobKind = "edit") -> AnyRecord:
        """The tenant's record as far as it is readable. Raises JobNotFound, also for another tenant's or kind's id."""
        record = self.get(job_id)
        if record is None or record.tenant != tenant or record.kind != kind:
            raise JobNotFound(f"there is no {kind} {job_id!r}")
        return record

    def require(self, job_id: str, tenant: str) -> JobRecord:
        """The tenant's edit. Raises JobNotFound as `look`, RecordUnreadable."""
        return _readable(self.look(job_id, tenant))

    def require_mask(self, job_id: str, tenant: str) -> MaskRecord:
        """The tenant's mask. Raises as `require`."""
        record = _readable(self.look(job_id, tenant, "mask"))
        assert isinstance(record, MaskRecord)
        return record

    @redis_errors()
    def list(
        self,
        tenant: str,
        state: State | None = None,
        limit: int = 20,
        cursor: str | None = None,
        kind: JobKind = "edit",
    ) -> Page:
        """The tenant's edits (or masks), newest first; ``cursor`` comes from the previous page."""
        index = f"{keys.TENANT if kind == 'edit' else keys.TENANT_MASKS}{tenant}:{state or 'all'}"
        highest = f"({cursor}" if cursor else "+"
        ids = cast("list[bytes]", self.redis.zrevrangebylex(index, highest, "-", start=0, num=limit + 1))
        records = self.get_many(job_id.decode() for job_id in ids[:limit])
        return Page(records, ids[limit - 1].decode() if len(ids) > limit else None)

    @redis_errors()
    def get_many(self, job_ids: Iterable[str]) -> tuple[AnyRecord, ...]:
        """The existing records among these ids, in order, in one round trip, as far as they are readable."""
        job_ids = list(job_ids)
        pipeline = self.redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.hgetall(keys.EDIT + job_id)
        return tuple(read(job_id, fields) for job_id, fields in zip(job_ids, pipeline.execute(), strict=True) if fields)

    @redis_errors()
    def revisions(self, job_ids: Sequence[str]) -> dict[str, int | None]:
        """The revision of each record, None where there is none, in one round trip."""
        pipeline = self.redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.hmget(keys.EDIT + job_id, "state", "revision")
        found = zip(job_ids, pipeline.execute(), strict=True)
        return {job_id: None if state is None else int(revision or 0) for job_id, (state, revision) in found}

    @redis_errors()
    def request_cancel(self, job_id: str) -> bool:
        """Cancel a queued edit at once, ask the worker of a running one. False: it was canceled before.

        Raises JobNotFound, AlreadyFinished.
        """
        before = self._cancel(args=[job_id, self._ttl_s])
        if before is None:
            raise JobNotFound(f"there is no edit {job_id!r}")
        state = State(before.decode())
        if state in {State.SUCCEEDED, State.FAILED}:
            raise AlreadyFinished(f"edit {job_id} has {state}: it can no longer be canceled")
        return not state.is_terminal

    @redis_errors()
    def delete(self, job_id: str) -> bool:
        """Remove the record and all index entries; its worker loses the claim. False: there was none."""
        return bool(self._forget(args=[job_id, 0]))

    # The worker's side: a claim is a record with its `worker` and `attempt`

    @redis_errors()
    def claim(self, job_id: str, worker: str) -> JobRecord | None:
        """Start an attempt under a lease. None: finished, gone, held by another worker, out of attempts, too late."""
        args = (job_id, worker, self._lease_ms, self._max_attempts, self._ttl_s, _WORKER_LOST, _LATE)
        answer = self._claim(args=args)
        return decode_pairs(answer[1]) if answer[0] == b"claimed" else None

    @redis_errors()
    def renew(
        self,
        claim: JobRecord,
        progress: Progress | None = None,
        preview: EditPreview | None = None,
        warnings: Sequence[EditWarning] = (),
    ) -> Hold:
        """Extend the lease, save ``progress`` and ``warnings``, keep ``preview``, unless the claim was lost."""
        encoded = encode(claim.model_copy(update={"progress": progress, "assessment": tuple(warnings)}))
        news = (encoded["progress"] if progress else "", encoded["assessment"] if warnings else "")
        seen = (preview.image, preview.result, preview.step, preview.steps, PREVIEW_TTL_S) if preview else ()
        return Hold(self._renew(args=[*_fence(claim), self._lease_ms, *news, *seen]).decode())

    def commit_success(
        self,
        claim: JobRecord,
        measures: EditMeasures,
        results: Sequence[StoredObject],
        artifacts: Sequence[StoredObject] = (),
        progress: Progress | None = None,
        assessment: Sequence[EditWarning] = (),
    ) -> State | None:
        """Finish with stored results, the final ``progress`` and the warnings about the results.

        Returns the resulting state (`canceled` if a cancel was accepted before), None if this attempt no longer
        owns the record.
        """
        done = {
            "measures": measures,
            "results": tuple(results),
            "artifacts": tuple(artifacts),
            "assessment": tuple(assessment),
        }
        if progress is not None:
            done["progress"] = progress
        return self._finish(claim, State.SUCCEEDED, done)

    def commit_mask(
        self, claim: MaskRecord, candidates: Sequence[Candidate], found_by: Finder, results: Sequence[StoredObject]
    ) -> State | None:
        """Finish a mask with its candidates and their stored pictures. Returns as `commit_success`."""
        done = {"candidates": tuple(candidates), "found_by": found_by, "results": tuple(results)}
        return self._finish(claim, State.SUCCEEDED, done)

    def commit_failure(self, claim: JobRecord, problem: Problem) -> State | None:
        """Finish with a problem. Returns as `commit_success`."""
        return self._finish(claim, State.FAILED, {"problem": problem})

    def commit_canceled(self, claim: JobRecord) -> State | None:
        """Finish as canceled. Returns as `commit_success`."""
        return self._finish(claim, State.CANCELED, {})

    @redis_errors()
    def _finish(self, claim: JobRecord, state: State, fields: Mapping[str, Any]) -> State | None:
        encoded = encode(claim.model_copy(update=fields))
        done = flat({name: encoded[name] for name in fields})
        answer = self._commit(args=[*_fence(claim), state, self._ttl_s, *done]).decode()
        return None if answer == "stale" else State(answer)

    # Requeueing: `jobs.queue` passes the lists (the edit's line, the taken ids, the bell)

    @redis_errors()
    def hand_back(self, claim: JobRecord, lists: Sequence[str], *, counts: bool = False) -> State | None:
        """Put the claimed edit at the head of its line; ``counts``: this attempt counts towards the limit.

        Returns the resulting state: `canceled` if a cancel was requested, `failed` if its deadline has passed. None:
        the claim was lost.
        """
        return self._put_back(lists, _fence(claim), counts=counts)

    @redis_errors()
    def requeue(self, job_id: str, lists: Sequence[str]) -> State | None:
        """Put an edit without a worker at the head of its line (or end it, as `hand_back` does).

        None: it is held, queued or finished by now.
        """
        return self._put_back(lists, (job_id, "", ""), counts=True)

    def _put_back(self, lists: Sequence[str], fence: tuple[str, str, int | str], *, counts: bool) -> State | None:
        answer = self._requeue(keys=lists, args=[*fence, self._ttl_s, _LATE, int(not counts)]).decode()
        return None if answer == "kept" else State(answer)

    # The reaper's side

    @redis_errors()
    def open_among(self, job_ids: Sequence[str]) -> set[str]:
        """The unfinished edits among these ids."""
        flags = self.redis.smismember(keys.OPEN, list(job_ids)) if job_ids else []
        return {job_id for job_id, flag in zip(job_ids, flags, strict=True) if flag}

    @redis_errors()
    def places(self, job_ids: Sequence[str]) -> tuple[Place, ...]:
        """The queue place of each of these ids that has a record, in order, in one round trip."""
        pipeline = self.redis.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.hmget(keys.EDIT + job_id, "request", "attempt")
        found = []
        for job_id, (request, attempt) in zip(job_ids, pipeline.execute(), strict=True):
            if request is None:
                continue
            try:
                asked = request_parts(request)
                found.append(Place(job_id, asked["model"], cast("Priority", asked["priority"]), int(attempt or 0)))
            except ValueError as error:
                log.error("the edit's model or priority is not readable", job=job_id, reason=repr(error))
        return tuple(found)

    @redis_errors()
    def overdue(self, lines: Sequence[str], grace_s: float) -> tuple[str, ...]:
        """The open ids that have been in none of these lines and under no lease for ``grace_s`` seconds."""
        return tuple(job_id.decode() for job_id in self._overdue(keys=lines, args=[grace_s]))

    @redis_errors()
    def fail_overtime(self, limit: int = 1000) -> tuple[str, ...]:
        """Fail the edits that no worker started before their deadline; returns their ids."""
        return tuple(job_id.decode() for job_id in self._overtime(args=[limit, self._ttl_s, _LATE]))

    @redis_errors()
    def expired(self, limit: int = 100) -> tuple[Expired, ...]:
        """Finished edits past their expiry, the oldest first."""
        now = self.now()
        ids = cast("list[bytes]", self.redis.zrangebyscore(keys.EXPIRY, "-inf", now, start=0, num=limit))
        pipeline = self.redis.pipeline(transaction=False)
        for job_id in ids:
            pipeline.hget(keys.EDIT + job_id.decode(), "tenant")
        tenants = cast("list[bytes | None]", pipeline.execute())
        return tuple(
            Expired(job_id.decode(), None if tenant is None else tenant.decode())
            for job_id, tenant in zip(ids, tenants, strict=True)
        )

    @redis_errors()
    def bury(self, job_id: str) -> None:
        """Remove an expired edit from every index; its record still answers "expired" for a while."""
        self._forget(args=[job_id, TOMBSTONE_S])

    @redis_errors()
    def now(self) -> float:
        """The time by the clock of Redis, in Unix seconds."""
        seconds, microseconds = self.redis.time()
        return seconds + microseconds / 1e6


def _readable(record: AnyRecord) -> JobRecord:
    if not isinstance(record, JobRecord):
        raise RecordUnreadable(UNREADABLE)
    return record


def _fence(claim: JobRecord) -> tuple[str, str, int]:
    return claim.id, claim.worker or "", claim.attempt


def _quota_exhausted(most: int, further: int) -> QuotaExhausted:
    used = f"fewer are left than the {further} that the additional results need" if further else "they are used"
    return QuotaExhausted(
        f"a tenant may use {most} UNet passes a month, and {used}; the quota resets on the first of next month (UTC)"
    )
