"""Admission check: whether one more edit would be accepted, before its upload is processed.

Only a look: what counts is what `Records.create` finds in the step that makes the record.
"""

from __future__ import annotations

from redis import Redis

from jobs import keys
from jobs.connection import redis_errors
from jobs.errors import QueueFull, TooManyUnfinished
from jobs.settings import Settings
from jobs.tenants.limits import Limits


class Room:
    """Counts the unfinished edits. Safe to share between threads."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._limit = settings.queue_limit

    @redis_errors()
    def require(self, tenant: str, limits: Limits) -> None:
        """Return if the tenant could have one more edit, in one round trip.

        Raises QueueFull, TooManyUnfinished, with the words of `Records.create`; QueueUnavailable.
        """
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.scard(keys.OPEN)
            pipeline.zcard(f"{keys.TENANT}{tenant}:queued")
            pipeline.zcard(f"{keys.TENANT}{tenant}:running")
            of_all, queued, running = pipeline.execute()
        if of_all >= self._limit:
            raise QueueFull(f"{self._limit} edits are unfinished, as many as this service takes; try again later")
        if limits.unfinished and queued + running >= limits.unfinished:
            raise TooManyUnfinished(f"a tenant may have {limits.unfinished} unfinished edits; try again later")
