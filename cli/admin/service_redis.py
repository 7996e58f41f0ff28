"""The Redis server of the service, for commands that work on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from redis import Redis

from cli.console import make_console
from cli.errors import explained, read_settings
from cli.processes.embedded_redis import EmbeddedRedis
from jobs.connection import connect
from jobs.errors import QueueUnavailable


@contextmanager
def service_redis() -> Iterator[Redis]:
    """A client of the configured Redis server, by default that of `magedit up`. Exits with an explanation if it is
    unreachable."""
    console = make_console(stderr=True)
    with explained(console):
        settings = read_settings()
        if "redis_url" not in settings.model_fields_set:
            own = {"redis_url": EmbeddedRedis(settings.state_dir / "redis").url, "redis_password": None}
            settings = settings.model_copy(update=own)
        try:
            with connect(settings) as redis:
                yield redis
        except QueueUnavailable as error:
            console.print("Redis does not respond: start `magedit up`, or set MAGEDIT_REDIS_URL", style="red")
            raise typer.Exit(1) from error
