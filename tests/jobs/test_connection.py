from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import AuthenticationError, ResponseError

from jobs.connection import connect, redis_errors
from jobs.errors import QueueUnavailable
from jobs.settings import Settings
from tests.conftest import PATIENCE_S, free_port, redis_server, wait_until


def test_missing_server_raises_queue_unavailable() -> None:
    redis = connect(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0", redis_retries=1))
    with pytest.raises(QueueUnavailable), redis_errors():
        redis.ping()


def cannot_save(redis: Redis, folder: Path) -> None:
    """Snapshots fail: their place is taken by a folder."""
    (folder / "dump.rdb" / "taken").mkdir(parents=True)
    redis.config_set("save", "3600 1")
    redis.bgsave()
    wait_until(lambda: redis.info("persistence")["rdb_last_bgsave_status"] == "err")


def piped(pipeline: Pipeline) -> object:
    pipeline.set("key", "value")
    return pipeline.execute()


REFUSALS: dict[str, Callable[[Redis, Path], object]] = {
    "OOM": lambda redis, _: redis.config_set("maxmemory", 1),
    "READONLY": lambda redis, _: redis.replicaof("127.0.0.1", 1),
    "NOREPLICAS": lambda redis, _: redis.config_set("min-replicas-to-write", 1),
    "MISCONF": cannot_save,
}
COMMANDS: dict[str, Callable[[Redis], object]] = {
    "command": lambda redis: redis.set("key", "value"),
    "script": lambda redis: redis.eval("return redis.call('SET', 'key', 'value')", 0),
    "transaction": lambda redis: piped(redis.pipeline()),
    "pipeline": lambda redis: piped(redis.pipeline(transaction=False)),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_server_that_refuses_to_write_is_away_too(refusal: str, tmp_path: Path) -> None:
    with redis_server(tmp_path) as url, connect(Settings(redis_url=url, redis_retries=0)) as redis:
        REFUSALS[refusal](redis, tmp_path)
        for command in COMMANDS.values():
            with pytest.raises(QueueUnavailable), redis_errors():
                command(redis)
        redis.config_set("save", "")  # or it would try to save until it is killed


def test_a_replica_without_its_master_is_away_too(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url, connect(Settings(redis_url=url, redis_retries=0)) as redis:
        redis.config_set("replica-serve-stale-data", "no")
        redis.replicaof("127.0.0.1", 1)
        with pytest.raises(QueueUnavailable), redis_errors():
            redis.get("key")


def test_a_busy_server_is_away_too(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url, connect(Settings(redis_url=url, redis_retries=0)) as redis:
        redis.config_set("lua-time-limit", 1)
        with ThreadPoolExecutor(1) as pool:
            endless = pool.submit(redis.eval, "while true do end", 0)
            with connect(Settings(redis_url=url)) as other:

                def is_refused() -> bool:
                    try:
                        with redis_errors():
                            other.get("key")
                    except QueueUnavailable:
                        return True
                    return False

                wait_until(is_refused)
                other.script_kill()
            assert isinstance(endless.exception(), ResponseError)


def test_wrong_command_raises(settings: Settings) -> None:
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
        assert reader.communicate(timeout=PATIENCE_S)[0] == b"value\n"
        assert redis.get("key") == b"value"
    redis.close()


def test_a_password_apart_from_the_address_needs_no_encoding(tmp_path: Path) -> None:
    password = "a/b@c:d%25#?e"
    with redis_server(tmp_path) as url, connect(Settings(redis_url=url)) as open_redis:
        open_redis.config_set("requirepass", password)
        with connect(Settings(redis_url=url, redis_password=SecretStr(password))) as redis:
            assert redis.ping()
        with (
            connect(Settings(redis_url=url, redis_password=SecretStr("other"))) as redis,
            pytest.raises(AuthenticationError),
        ):
            redis.ping()
