"""Checks whether the Redis server persists its writes, on which accepted edits depend."""

from __future__ import annotations

import structlog
from redis import Redis
from redis.exceptions import ResponseError

from jobs.connection import is_away, redis_errors

log = structlog.get_logger()


@redis_errors()
def warn_unless_durable(redis: Redis) -> None:
    """Log a warning for each server setting that can lose accepted edits.

    There is no warning for a server that hides its settings (`INFO` or `CONFIG` forbidden or incomplete).

    Raises:
        QueueUnavailable: Redis is away.
    """
    try:
        policy = redis.info("memory").get("maxmemory_policy")
        append_only = redis.info("persistence").get("aof_enabled")
    except ResponseError as error:
        if is_away(error):
            raise
        return
    if policy not in {None, "noeviction"}:
        log.warning("Redis may drop accepted edits when it is full: set maxmemory-policy noeviction", policy=policy)
    if append_only == 0:
        log.warning("Redis may lose accepted edits when it is restarted: set appendonly yes")
    # Not in INFO; managed servers often forbid CONFIG.
    try:
        fsync = redis.config_get("appendfsync").get("appendfsync")
    except ResponseError as error:
        if is_away(error):
            raise
        return
    if append_only and fsync not in {None, "always"}:
        log.warning(
            "Redis may lose the last edits that it accepted when its machine dies: set appendfsync always",
            appendfsync=fsync,
        )
