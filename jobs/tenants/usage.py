"""Usage of each tenant per calendar month (UTC, by the clock of Redis).

An edit counts as accepted with its record, and as succeeded, failed or canceled with the step that ends it: in the
same script, so once each, whatever dies in between. UNet passes are those of succeeded edits, counted when they
succeed: what fails or is canceled is not charged. Seconds are those of the last attempt of every edit that began.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import Field
from redis import Redis

from jobs import keys
from jobs.connection import redis_errors
from jobs.schema import Frozen

KEEP_S = 400 * 24 * 3600
"""How long a month's counts are kept after the last one, in seconds: a year can be looked back on."""

# Functions for the scripts of `jobs.lua.scripts`; they use its `now`, `EDIT` and `TENANT`.
LUA = f"""
local USAGE = '{keys.USAGE}'

-- The month of a Unix time, as 2026-01: civil_from_days of Howard Hinnant, "chrono-Compatible Low-Level Date
-- Algorithms".
local function month(at)
  local days = math.floor(at / 86400) + 719468
  local era = math.floor(days / 146097)
  local day = days - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local day_of_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local from_march = math.floor((5 * day_of_year + 2) / 153)
  local number = from_march < 10 and from_march + 3 or from_march - 9
  return string.format('%04d-%02d', year + era * 400 + (number <= 2 and 1 or 0), number)
end

local function count(tenant, name, amount)
  local key = USAGE .. tenant .. ':' .. month(now())
  redis.call('HINCRBYFLOAT', key, name, amount)
  redis.call('EXPIRE', key, {KEEP_S})
end

local function unfinished(tenant)
  return redis.call('ZCARD', TENANT .. tenant .. ':queued') + redis.call('ZCARD', TENANT .. tenant .. ':running')
end

-- Which limit (0: none) keeps the tenant from one more edit, or nil.
local function beyond(tenant, most_unfinished, most_passes)
  if most_unfinished > 0 and unfinished(tenant) >= most_unfinished then return 'unfinished' end
  local passes = redis.call('HGET', USAGE .. tenant .. ':' .. month(now()), 'unet_passes')
  if most_passes > 0 and tonumber(passes or 0) >= most_passes then return 'quota' end
end

-- To be called as the edit leaves `before` for the state that ends it.
local function settle(id, before, after)
  local tenant, started, measures = unpack(redis.call('HMGET', EDIT .. id, 'tenant', 'started_at', 'measures'))
  count(tenant, after, 1)
  if before == 'running' and started then count(tenant, 'seconds', now() - tonumber(started)) end
  if after == 'succeeded' and measures then
    local cost = cjson.decode(measures)
    count(tenant, 'unet_passes', cost.unet_forward + cost.unet_truncated_forward + cost.unet_backward)
  end
end
"""

# ARGV: tenant, month or ''  -> month, unfinished edits, counts
_READ = f"""
local TENANT = '{keys.TENANT}'
local function now() return tonumber(redis.call('TIME')[1]) end
{LUA}
local asked = ARGV[2] ~= '' and ARGV[2] or month(now())
return {{asked, unfinished(ARGV[1]), redis.call('HGETALL', USAGE .. ARGV[1] .. ':' .. asked)}}
"""


class Counts(Frozen):
    """What was counted in a month."""

    accepted: int = Field(default=0, description="Edits that were accepted.")
    succeeded: int = Field(default=0, description="Edits that succeeded.")
    failed: int = Field(default=0, description="Edits that failed; they are not charged.")
    canceled: int = Field(default=0, description="Edits that were canceled, or deleted unfinished; not charged.")
    seconds: float = Field(default=0.0, description="Wall seconds of the edits that ended.")
    unet_passes: int = Field(
        default=0, description="UNet passes of the edits that succeeded: whole, truncated and backward ones."
    )


class Usage(NamedTuple):
    """A tenant's counts of a ``month`` (2026-01), and its edits that are unfinished at this moment."""

    month: str
    counts: Counts
    unfinished: int


class UsageCounts:
    """Reads what was counted. Safe to share between threads."""

    def __init__(self, redis: Redis) -> None:
        self._read = redis.register_script(_READ)

    @redis_errors()
    def of(self, tenant: str, month: str | None = None) -> Usage:
        """The tenant's usage in ``month`` (default: the present one), in one round trip. Raises QueueUnavailable."""
        name, unfinished, pairs = self._read(args=[tenant, month or ""])
        counted = {pairs[i].decode(): float(pairs[i + 1]) for i in range(0, len(pairs), 2)}
        counts = {name: value if name == "seconds" else int(value) for name, value in counted.items()}
        return Usage(name.decode(), Counts.model_validate(counts), unfinished)


def bounds(month: str) -> tuple[datetime, datetime]:
    """When a month (2026-01) begins and ends, UTC."""
    begins = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    return begins, begins + timedelta(days=monthrange(begins.year, begins.month)[1])
