"""One edit per `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07), across crashes of any process.

A key belongs to a tenant. It is first *reserved* for the id of an edit that is being accepted, then *bound* to it by
the script that creates the record (`jobs/lua/edits/create.lua`), so that neither ever exists without the other. A
reservation is a short lease that only makes others wait. What rules out two edits for one key is that a record is
created only while the key is bound to no other edit: the first to bind wins.

Where a front end may die, and what a repeated request then finds:

1. before the key is reserved: nothing; it is a first request.
2. reserved, with no, some or all inputs in storage: 409 until the lease ends, then it is a first request with an id of
   its own. The inputs under the dead request's id are orphans, which the reaper removes.
3. record created and key bound, edit not in the queue yet: the edit, which the reaper enqueues.
4. enqueued, response not sent: the edit.

Where it survives but is late or cut off:

5. The front end is stopped for longer than the lease, a repeated request takes its place, and it resumes: the one that
   creates its record first wins; the other learns which edit that is, removes its own inputs and returns that edit.
6. Redis does not answer while the record is created: the request gets 503, and the reservation stays, because the
   record may exist. A repeated request finds 3 or, after the lease, 2.
7. The request is refused: the reservation is released, and the key is free again, for a corrected payload too.
8. Redis drops the key during the request (the lease has ended): the record is created and the key bound.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple, cast

from redis import Redis

from jobs import keys
from jobs.connection import redis_errors
from jobs.errors import KeyInUse, KeyReused
from jobs.lua import load
from jobs.settings import Settings

RETRY_S = 2
"""Longest `retry_after_s` while the first request is in progress, in seconds: most take less."""


class Reservation(NamedTuple):
    """A key reserved for the edit ``id`` unless another edit is bound to it first. ``key``: its Redis key."""

    key: str
    fingerprint: str
    id: str


class IdempotencyKeys:
    """The keys of all tenants. Safe to share between threads; raises `QueueUnavailable` while Redis is away."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._lease_ms = int(settings.idempotency_lease_s * 1000)
        self._reserve = redis.register_script(load("idempotency/reserve"))
        self._release = redis.register_script(load("idempotency/release"))

    @redis_errors()
    def reserve(self, tenant: str, key: str, fingerprint: str, job_id: str) -> Reservation | str:
        """Reserve the tenant's key for a new edit, or return the id of the edit that it is bound to.

        Repeatable. ``fingerprint`` is equal for equal payloads.

        Raises:
            KeyInUse: a request with this key and payload is in progress.
            KeyReused: the key belongs to another payload.
        """
        name = _name(tenant, key)
        answer, *rest = self._reserve(keys=[name], args=[fingerprint, job_id, self._lease_ms])
        if answer == b"reused":
            raise KeyReused
        if answer == b"busy":
            raise KeyInUse(retry_after_s=min(RETRY_S, max(1, -(-rest[0] // 1000))))
        if answer == b"replay":
            return str(rest[0].decode())
        return Reservation(name, fingerprint, job_id)

    @redis_errors()
    def release(self, reservation: Reservation) -> None:
        """Free the key unless it is bound or reserved by another request by now. Repeatable."""
        self._release(keys=[reservation.key], args=[reservation.id])

    @redis_errors()
    def bound(self, tenant: str, key: str, fingerprint: str) -> str | None:
        """The id of the edit that the tenant's key is bound to; None: to none. Raises KeyReused."""
        found = cast("list[bytes | None]", self._redis.hmget(_name(tenant, key), "fingerprint", "id", "bound"))
        theirs, job, is_bound = found
        if not is_bound or job is None:
            return None
        if theirs != fingerprint.encode():
            raise KeyReused
        return job.decode()


def _name(tenant: str, key: str) -> str:
    """The Redis key; the caller's text is hashed, so that it stays short."""
    return f"{keys.IDEMPOTENCY}{tenant}:{hashlib.sha256(key.encode()).hexdigest()}"
