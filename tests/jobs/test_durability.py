from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from structlog.testing import capture_logs

from jobs.connection import connect
from jobs.durability import warn_unless_durable
from jobs.errors import QueueUnavailable
from jobs.settings import Settings
from tests.conftest import free_port, redis_server


def warnings(redis: Redis) -> list[str]:
    with capture_logs() as logs:
        warn_unless_durable(redis)
    return [each["event"] for each in logs if each["log_level"] == "warning"]


def test_unsafe_redis_settings_cause_a_warning(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url, Redis.from_url(url) as redis:
        assert warnings(redis) == []
        redis.config_set("maxmemory-policy", "allkeys-lru")
        redis.config_set("appendonly", "no")
        eviction, append_only = warnings(redis)
        assert "noeviction" in eviction
        assert "appendonly" in append_only


@pytest.mark.parametrize("how", ["everysec", "no"])
def test_delayed_fsync_is_warned_of(how: str, tmp_path: Path) -> None:
    with redis_server(tmp_path) as url, Redis.from_url(url) as redis:
        redis.config_set("appendfsync", how)
        (told,) = warnings(redis)
        assert "appendfsync always" in told


@pytest.mark.parametrize(("setting", "forbidden"), [("appendonly", "info"), ("appendfsync", "config")])
def test_server_without_config_access_causes_no_warning(setting: str, forbidden: str, tmp_path: Path) -> None:
    with redis_server(tmp_path) as url, Redis.from_url(url) as redis:
        redis.config_set(setting, "no")
        redis.execute_command("ACL", "SETUSER", "default", f"-{forbidden}")
        assert warnings(redis) == []


def test_an_unreachable_server_raises() -> None:
    settings: dict[str, Any] = {"redis_url": f"redis://127.0.0.1:{free_port()}/0", "redis_retries": 0}
    with pytest.raises(QueueUnavailable):
        warn_unless_durable(connect(Settings(**settings)))
