"""Removes stored pictures that belong to no edit.

A front end that died before it created the record leaves them, or an attempt that continued after its edit had ended.
They are few and harmless, so the search is rare and in small steps.

Of an unfinished or retained edit only the leftovers of dead attempts are removed. Inputs without a record are removed
when their id is older than `orphan_age_s`, and a record for such an old id is refused (`jobs/lua/edits/create.lua`), so
they never belong to an edit that is being accepted, however long that takes.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from itertools import islice
from typing import cast

import structlog
from redis import Redis

from jobs import keys
from jobs.connection import redis_errors
from jobs.errors import ObjectNotFound
from jobs.records.store import Records
from jobs.schema import JobRecord, State, id_time
from jobs.settings import Settings
from jobs.storage import ObjectStore, attempt_prefix, job_prefix

# Jobs checked per step, while all other housekeeping waits.
STEP_JOBS = 100
# Key of the object that names the storage's deployment; not a valid tenant name.
DEPLOYMENT_KEY = ".magedit/deployment"

_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
log = structlog.get_logger()


class Orphans:
    """Searches all of storage once per interval across all processes, in steps."""

    def __init__(self, redis: Redis, records: Records, store: ObjectStore, settings: Settings) -> None:
        self._redis, self._records, self._store = redis, records, store
        self._age_s, self._interval_ms = settings.orphan_age_s, int(settings.orphan_interval_s * 1000)
        self._search: Iterator[tuple[str, str]] | None = None

    @redis_errors()
    def step(self) -> tuple[str, ...]:
        """Continue the search, or start one if it is due; returns the removed prefixes.

        Raises:
            StoreUnavailable: storage is away; the search starts over when it is due again.
        """
        if self._search is None:
            if not self._redis.set(keys.ORPHANS, 1, nx=True, px=self._interval_ms) or not self._is_ours():
                return ()
            self._search = self._jobs()
        # A failed search is over: a generator that raised cannot continue.
        search, self._search = self._search, None
        jobs = list(islice(search, STEP_JOBS))
        removed = []
        for prefix in self._orphans(jobs):
            log.info("orphan removed", prefix=prefix, objects=self._store.delete_prefix(prefix))
            removed.append(prefix)
        if jobs:
            self._search = search
        return tuple(removed)

    def _is_ours(self) -> bool:
        """Whether storage belongs to this Redis server. If not, every picture in it would look like an orphan."""
        self._redis.set(keys.DEPLOYMENT, secrets.token_hex(16), nx=True)
        ours = cast("bytes", self._redis.get(keys.DEPLOYMENT))
        try:
            theirs = self._store.get(DEPLOYMENT_KEY)
        except ObjectNotFound:
            self._store.put(DEPLOYMENT_KEY, ours, "text/plain")
            return True
        if theirs != ours:
            log.error(
                "storage is another deployment's, or Redis has lost its data: orphans are left alone until this object "
                "is removed",
                object=DEPLOYMENT_KEY,
            )
        return theirs == ours

    def _jobs(self) -> Iterator[tuple[str, str]]:
        """Tenant and id of every job with objects in storage: one request per tenant and thousand jobs."""
        for tenant in self._store.folders(""):
            if _TENANT.fullmatch(tenant):
                for job_id in self._store.folders(f"{tenant}/"):
                    if id_time(job_id) is not None:
                        yield tenant, job_id

    def _orphans(self, jobs: list[tuple[str, str]]) -> Iterator[str]:
        now = self._records.now()
        known = {record.id: record for record in self._records.get_many(job_id for _, job_id in jobs)}
        for tenant, job_id in jobs:
            if job_id in known:
                record = known[job_id]
                # An unreadable record is not an orphan: its edit may be running on a worker of another version.
                if isinstance(record, JobRecord):
                    yield from self._leftovers(record, now)
            elif now - (id_time(job_id) or now) > self._age_s:
                yield job_prefix(tenant, job_id)

    def _leftovers(self, record: JobRecord, now: float) -> Iterator[str]:
        """Objects of a finished edit's attempts that its record does not name."""
        if not record.state.is_terminal:
            return
        if record.is_expired(now):
            yield job_prefix(record.tenant, record.id)
            return
        succeeded = record.state is State.SUCCEEDED
        if record.attempt > (1 if succeeded else 0):
            for name in self._store.folders(job_prefix(record.tenant, record.id)):
                if name.isdecimal() and not (succeeded and int(name) == record.attempt):
                    yield attempt_prefix(record, int(name))
