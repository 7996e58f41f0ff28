"""The Redis server of our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from cli.processes.embedded_redis import EmbeddedRedis, EmbeddedRedisError, find_server
from tests.conftest import redis_server


def test_data_survives_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    with redis_server(folder) as url, Redis.from_url(url) as redis:
        redis.set("edit", "kept")
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert redis.config_get("appendfsync") == {"appendfsync": "always"}
        assert redis.config_get("port") == {"port": "0"}
    with redis_server(folder) as url, Redis.from_url(url) as redis:
        assert redis.get("edit") == b"kept"


def test_only_this_user_can_open_the_socket(tmp_path: Path) -> None:
    with redis_server(tmp_path):
        assert EmbeddedRedis(tmp_path).socket.stat().st_mode & 0o077 == 0


def test_a_second_server_waits_for_the_first(tmp_path: Path) -> None:
    embedded = EmbeddedRedis(tmp_path)
    embedded.wait_gone()
    with redis_server(tmp_path), pytest.raises(EmbeddedRedisError, match=str(tmp_path)):
        embedded.wait_gone(timeout_s=0.1)


def test_without_one_on_the_path_the_wheels_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert Path(find_server()).is_file()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EmbeddedRedisError, match="MAGEDIT_REDIS_URL"):
        find_server()


def test_too_long_a_path_is_said(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedRedisError, match="MAGEDIT_STATE_DIR"):
        EmbeddedRedis(tmp_path / ("x" * 120))
