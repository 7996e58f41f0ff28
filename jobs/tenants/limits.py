"""Limits of a tenant, and the rate limiter.

Rates follow the Generic Cell Rate Algorithm (ITU-T I.371, virtual scheduling; also ATM Forum TM 4.0, 4.4.2) with
the whole window as tolerance: a tenant may use its rate's requests at once, and gets one back every window / rate
seconds. It keeps one number per rate in Redis and has no window edges to burst across.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import Field
from redis import Redis

from jobs import keys
from jobs.connection import redis_errors
from jobs.lua import load
from jobs.schema import Frozen

MINUTE_S = 60


class Limits(Frozen):
    """Limits of a tenant; 0: unlimited."""

    requests_per_minute: int = Field(default=0, ge=0, le=10**6, description="Requests of any kind in a minute.")
    submits_per_minute: int = Field(default=0, ge=0, le=10**6, description="New edits in a minute; masks do not count.")
    unfinished: int = Field(default=0, ge=0, le=10**6, description="Edits and masks waiting or running at a time.")
    unet_passes_per_month: int = Field(
        default=0, ge=0, le=10**12, description="UNet passes of succeeded edits in a calendar month (UTC)."
    )


class Rate(NamedTuple):
    """At most ``quota`` of something every ``window_s`` seconds."""

    name: str
    quota: int
    window_s: int = MINUTE_S


class Left(NamedTuple):
    """Remaining requests of a rate, and seconds until all of it is available again."""

    rate: Rate
    remaining: int
    reset_s: float


class RateDecision(NamedTuple):
    """Remaining requests of each rate; if one is used up, that rate and the seconds until its next request."""

    left: tuple[Left, ...]
    refused: Rate | None = None
    retry_after_s: float = 0.0


class RateLimiter:
    """Counts requests in Redis, over all front ends. Safe to share between threads."""

    def __init__(self, redis: Redis) -> None:
        self._take = redis.register_script(load("tenants/rate_limit"))

    @redis_errors()
    def acquire(self, tenant: str, rates: Sequence[Rate]) -> RateDecision:
        """Count one request at each of the tenant's rates or, if one is used up, at none; in one round trip.

        Raises QueueUnavailable.
        """
        names = [f"{keys.RATE}{tenant}:{rate.name}" for rate in rates]
        refused, *numbers = self._take(keys=names, args=[value for rate in rates for value in rate[1:]])
        triples = [numbers[3 * i : 3 * i + 3] for i in range(len(rates))]
        left = tuple(
            Left(rate, remaining, reset_ms / 1000)
            for rate, (remaining, reset_ms, _) in zip(rates, triples, strict=True)
        )
        if refused == 0:
            return RateDecision(left)
        return RateDecision(left, rates[refused - 1], triples[refused - 1][2] / 1000)
