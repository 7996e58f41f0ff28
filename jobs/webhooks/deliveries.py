"""Webhook deliveries in Redis: created with the end of an edit, retried until delivered or given up.

A deliverer claims a delivery under a lease and reports its outcome. If it dies or the report is lost, the delivery is
due again when the lease ends, so every delivery is made at least once. Attempts are listed by number, without an
outcome where none was reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from pydantic import Field
from redis import Redis

from jobs import keys
from jobs.connection import redis_errors
from jobs.lua import load
from jobs.schema import Frozen

PAUSES_S = (0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""Pause before each attempt, in seconds; after the last one a delivery is given up. Standard Webhooks 1.0,
"Deliverability and reliability"."""


class DeliveryVerdict(StrEnum):
    """Outcome of an attempt for its delivery."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"


class ClaimedDelivery(NamedTuple):
    """A claimed delivery: the edit's id and the number of the attempt, from 1."""

    id: str
    number: int


class DeliveryState(StrEnum):
    """State of a delivery."""

    WAITING = "waiting"
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class DeliveryAttempt(Frozen):
    """One attempt. ``at``: Unix seconds by the clock of Redis."""

    number: int
    at: float
    seconds: float | None = None
    status: int | None = Field(default=None, description="HTTP status of the answer.")
    error: str | None = None


class Delivery(Frozen):
    """A delivery; ``next_at``: time of the next attempt (during an attempt: when its lease ends)."""

    state: DeliveryState
    next_at: float | None
    attempts: tuple[DeliveryAttempt, ...]


class Deliveries:
    """Deliveries in Redis. Safe to share between threads; raises `QueueUnavailable` while Redis is away."""

    def __init__(self, redis: Redis, *, lease_s: float = 60.0, pauses_s: tuple[float, ...] = PAUSES_S) -> None:
        """``lease_s``: time to report a claimed delivery, in seconds."""
        self._redis = redis
        self._lease_s, self._pauses_s = lease_s, pauses_s
        self._take = redis.register_script(load("webhooks/claim"))
        self._report = redis.register_script(load("webhooks/report"))

    @redis_errors()
    def claim(self, most: int) -> tuple[ClaimedDelivery, ...]:
        """Start an attempt of up to ``most`` due deliveries."""
        answer = self._take(args=[most, self._lease_s, len(self._pauses_s)])
        return tuple(ClaimedDelivery(answer[i].decode(), answer[i + 1]) for i in range(0, len(answer), 2))

    @redis_errors()
    def report(
        self,
        taken: ClaimedDelivery,
        verdict: DeliveryVerdict,
        *,
        seconds: float,
        status: int | None = None,
        error: str | None = None,
    ) -> str:
        """Report an attempt's outcome; returns the delivery's state, `gone` if the edit is. Repeatable."""
        outcome = DeliveryAttempt(number=taken.number, at=0, seconds=round(seconds, 3), status=status, error=error)
        # After the last attempt there is no pause, and none is needed.
        pause_s = self._pauses_s[min(taken.number, len(self._pauses_s) - 1)]
        text = outcome.model_dump_json(exclude_none=True)
        return str(self._report(args=[*taken, verdict, len(self._pauses_s), pause_s, text]).decode())

    @redis_errors()
    def of(self, job_id: str) -> Delivery:
        """The delivery of an edit that has a webhook."""
        with self._redis.pipeline() as pipeline:
            pipeline.hgetall(keys.WEBHOOK + job_id)
            pipeline.zscore(keys.WEBHOOKS, job_id)
            fields, next_at = pipeline.execute()
        return _delivery(fields, next_at)

    @redis_errors()
    def drop(self, job_id: str) -> None:
        """Delete a delivery whose edit is gone."""
        with self._redis.pipeline() as pipeline:
            pipeline.zrem(keys.WEBHOOKS, job_id)
            pipeline.delete(keys.WEBHOOK + job_id)
            pipeline.execute()

    @redis_errors()
    def due(self) -> int:
        """Number of unfinished deliveries."""
        return int(self._redis.zcard(keys.WEBHOOKS))


def _delivery(fields: Mapping[bytes, bytes], next_at: float | None) -> Delivery:
    attempts = sorted(
        (DeliveryAttempt.model_validate_json(text) for name, text in fields.items() if name.startswith(b"attempt:")),
        key=lambda attempt: attempt.number,
    )
    unfinished = DeliveryState.WAITING if next_at is None else DeliveryState.PENDING
    state = DeliveryState(fields[b"state"].decode()) if b"state" in fields else unfinished
    return Delivery(state=state, next_at=next_at, attempts=tuple(attempts))
