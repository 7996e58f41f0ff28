"""Usage of each tenant per calendar month (UTC, by the clock of Redis).

The script that creates a record counts the edit as accepted, and the script that ends it as succeeded, failed or
canceled, so each exactly once, whatever crashes in between. UNet passes are those of succeeded edits; failed and
canceled edits are not charged. Seconds are those of the last attempt of every edit that started.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import Field
from redis import Redis

from jobs.connection import redis_errors
from jobs.lua import load
from jobs.schema import Frozen


class Counts(Frozen):
    """A tenant's counts of one month."""

    accepted: int = Field(default=0, description="Edits that were accepted.")
    succeeded: int = Field(default=0, description="Edits that succeeded.")
    failed: int = Field(default=0, description="Edits that failed; they are not charged.")
    canceled: int = Field(default=0, description="Edits that were canceled, or deleted unfinished; not charged.")
    masks: int = Field(default=0, description="Masks that were accepted.")
    seconds: float = Field(default=0.0, description="Wall seconds of the edits that ended.")
    unet_passes: int = Field(
        default=0, description="UNet passes of the edits that succeeded: whole, truncated and backward ones."
    )


class Usage(NamedTuple):
    """A tenant's counts of a ``month`` (2026-01) and its currently unfinished edits."""

    month: str
    counts: Counts
    unfinished: int


class UsageCounts:
    """Reads the usage counts. Safe to share between threads."""

    def __init__(self, redis: Redis) -> None:
        self._read = redis.register_script(load("tenants/read_usage"))

    @redis_errors()
    def of(self, tenant: str, month: str | None = None) -> Usage:
        """The tenant's usage in ``month`` (default: the current one), in one round trip. Raises QueueUnavailable."""
        name, unfinished, pairs = self._read(args=[tenant, month or ""])
        counted = {pairs[i].decode(): float(pairs[i + 1]) for i in range(0, len(pairs), 2)}
        counts = {name: value if name == "seconds" else int(value) for name, value in counted.items()}
        return Usage(name.decode(), Counts.model_validate(counts), unfinished)


def bounds(month: str) -> tuple[datetime, datetime]:
    """Start and end of a month (2026-01), UTC."""
    begins = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    return begins, begins + timedelta(days=monthrange(begins.year, begins.month)[1])
