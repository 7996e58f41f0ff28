"""Which Redis server a verb works on."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from cli.admin.service_redis import service_redis
from cli.processes.embedded_redis import EmbeddedRedis
from cli.processes.supervisor import Supervised, stop_all
from jobs.tenants.api_keys import ApiKeys
from tests.conftest import free_port, wait_until


def test_the_one_that_is_named(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGEDIT_REDIS_URL", redis_url)
    with service_redis() as redis:
        redis.set("here", 1)
        assert redis.get("here") == b"1"


def test_the_one_that_the_local_stack_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAGEDIT_REDIS_URL", raising=False)
    monkeypatch.setenv("MAGEDIT_STATE_DIR", str(tmp_path))
    embedded = EmbeddedRedis(tmp_path / "redis")
    server = Supervised(embedded.program(), tmp_path)
    try:
        wait_until(embedded.answers)
        with service_redis() as redis:
            assert ApiKeys(redis).list() == ()
            assert redis.config_get("dir")["dir"] == str(tmp_path / "redis")
    finally:
        stop_all([server])


@pytest.mark.parametrize("named", [True, False])
def test_without_a_redis_server_the_command_explains_itself(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAGEDIT_REDIS_RETRIES", "0")
    monkeypatch.setenv("MAGEDIT_STATE_DIR", str(tmp_path))
    if named:
        monkeypatch.setenv("MAGEDIT_REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    else:
        monkeypatch.delenv("MAGEDIT_REDIS_URL", raising=False)
    with pytest.raises(typer.Exit) as ended, service_redis() as redis:
        ApiKeys(redis).list()
    assert ended.value.exit_code == 1
    assert "magedit up" in capsys.readouterr().err
