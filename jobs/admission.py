"""Admission check: whether one more edit would be accepted, before its upload is processed.

Advisory: the binding check is `Records.create`'s, in the step that creates the record.
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
        """Check that the tenant may have one more edit or mask, in one round trip.

        Raises QueueFull and TooManyUnfinished with the messages of `Records.create`, and QueueUnavailable.
        """
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.scard(keys.OPEN)
            for kind in (keys.TENANT, keys.TENANT_MASKS):
                for state in ("queued", "running"):
                    pipeline.zcard(f"{kind}{tenant}:{state}")
            of_all, *unfinished = pipeline.execute()
        if of_all >= self._limit:
            raise QueueFull(f"{self._limit} edits are unfinished, which is this service's limit; try again later")
        if limits.unfinished and sum(unfinished) >= limits.unfinished:
            raise TooManyUnfinished(f"a tenant may have {limits.unfinished} unfinished edits; try again later")
