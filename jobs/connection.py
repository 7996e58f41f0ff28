"""Connections to Redis: time limits, back-off, and one error type while it is away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from jobs.errors import QueueUnavailable
from jobs.settings import Settings

# Back-off between two attempts of one command, in seconds: first and longest.
BACKOFF_BASE_S = 0.05
BACKOFF_CAP_S = 1.0

_AWAY: Final = (RedisConnectionError, RedisTimeoutError)
# First words of errors caused by the server's state, not by the command: it cannot write to disk, is full, is
# a replica, has too few replicas or no master, is loading, is busy, or its cluster is incomplete. Servers before 7.0
# put the word in the middle of the message if the command was in a script.
_REFUSES: Final = re.compile(
    r"(?:^|: -?)(?:MISCONF|OOM|READONLY|NOREPLICAS|MASTERDOWN|LOADING|BUSY|CLUSTERDOWN|TRYAGAIN) "
)


def connect(settings: Settings) -> Redis:
    """Client (a pool, not connected yet) that retries commands with jittered back-off.

    A command may therefore run twice if its reply is lost: every script of `jobs.lua` is
    repeated. Replies are bytes, as RQ needs them.
    """
    password = settings.redis_password.get_secret_value() if settings.redis_password else None
    return Redis.from_url(
        settings.redis_url,
        password=password,
        socket_timeout=settings.redis_timeout_s,
        socket_connect_timeout=settings.redis_timeout_s,
        health_check_interval=15,
        retry=Retry(
            ExponentialWithJitterBackoff(base=BACKOFF_BASE_S, cap=BACKOFF_CAP_S),
            settings.redis_retries,
            supported_errors=(RedisConnectionError, RedisTimeoutError),
        ),
    )


def longest_command_s(settings: Settings) -> float:
    """Longest time that one command with all its retries may block its caller, in seconds, if the server neither
    replies nor refuses."""
    return (settings.redis_retries + 1) * (2 * settings.redis_timeout_s + BACKOFF_CAP_S)


def is_away(error: RedisError) -> bool:
    """Whether the server is unreachable or refuses to work for now, so that a later try may succeed."""
    status = f"{getattr(error, 'status_code', None) or ''} {error}".lstrip()
    return isinstance(error, _AWAY) or _REFUSES.search(status) is not None


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn "Redis is away" into `QueueUnavailable`; usable as a decorator. Other errors are bugs and propagate."""
    try:
        yield
    except RedisError as error:
        if not is_away(error):
            raise
        raise QueueUnavailable("the job queue cannot be reached; try again in a moment") from error
