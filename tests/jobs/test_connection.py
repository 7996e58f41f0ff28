from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from jobs.connection import connect, redis_errors
from jobs.errors import QueueUnavailable
from jobs.settings import Settings
from tests.conftest import free_port, redis_server


def test_an_absent_server_is_one_kind_of_error() -> None:
    redis = connect(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0", redis_retries=1))
    with pytest.raises(QueueUnavailable), redis_errors():
        redis.ping()


def test_a_full_server_is_away_too(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url, connect(Settings(redis_url=url, redis_retries=0)) as redis:
        redis.config_set("maxmemory", "1")
        with pytest.raises(QueueUnavailable), redis_errors():
            redis.set("key", "value")


def test_a_wrong_command_is_not_hidden(settings: Settings) -> None:
    with connect(settings) as redis:
        redis.set("text", "x")
        with pytest.raises(ResponseError), redis_errors():
            redis.lpush("text", "y")


def test_commands_outlive_a_restart_of_the_server(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url:
        redis = connect(Settings(redis_url=url, redis_retries=20))
        redis.set("key", "value")
    # Nobody listens now; the server comes back while the command is being repeated.
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from jobs.connection import *; print(connect(Settings(redis_url={url!r}, "
            "redis_retries=20)).get('key').decode(), flush=True)",
        ],
        stdout=subprocess.PIPE,
    )
    with redis_server(tmp_path):
        assert reader.communicate(timeout=30)[0] == b"value\n"
        assert redis.get("key") == b"value"
    redis.close()
