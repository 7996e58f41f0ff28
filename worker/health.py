"""`python -m worker.health`: exits with 0 while a worker of this host announces its model, else with 1."""

from __future__ import annotations

import socket
import sys

from redis import Redis

from jobs.connection import connect
from jobs.errors import QueueUnavailable
from jobs.models import Models
from jobs.settings import Settings

TIMEOUT_S = 2.0
"""Longest wait for Redis, in seconds."""


def is_serving(redis: Redis, host: str) -> bool:
    """Whether a worker of ``host`` has a live announcement; False while Redis is away."""
    try:
        return any(name.startswith(f"{host}-") for name in Models(redis).workers())
    except QueueUnavailable:
        return False


def main() -> int:
    """One check without retries: the container engine repeats it, with a short timeout of its own."""
    settings = Settings()
    impatient = settings.model_copy(
        update={"redis_retries": 0, "redis_timeout_s": min(settings.redis_timeout_s, TIMEOUT_S)}
    )
    return 0 if is_serving(connect(impatient), socket.gethostname()) else 1


if __name__ == "__main__":
    sys.exit(main())
