"""What the stack decides before anything runs; the running stack is tested end to end in tests/e2e."""

from __future__ import annotations

import socket
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.processes import stack as module
from cli.processes.stack import Stack, StackError, free_port
from jobs.settings import Settings


def stack(tmp_path: Path, **changes: object) -> Stack:
    settings = Settings(state_dir=tmp_path).model_copy(update=changes)
    return Stack(settings, workers=2, embedded="redis_url" not in changes)


def test_processes_read_the_stacks_settings_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = stack(tmp_path, s3_secret_access_key=SecretStr("s3cret"), threads=1)
    monkeypatch.setenv("MAGEDIT_STORAGE_URL", "file:///somewhere/else")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    environment = one.environment()
    assert "MAGEDIT_STORAGE_URL" not in environment
    assert environment["MAGEDIT_S3_SECRET_ACCESS_KEY"] == "s3cret"
    assert environment["MAGEDIT_REDIS_URL"].startswith(f"unix://{tmp_path}")
    assert (environment["OMP_NUM_THREADS"], environment["MKL_NUM_THREADS"]) == ("4", "1")
    monkeypatch.delenv("MAGEDIT_STORAGE_URL")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    read = Settings()
    assert read.state_dir == tmp_path
    assert read.model_copy(update={"redis_url": one.settings.redis_url}) == one.settings


def test_a_given_redis_is_used(tmp_path: Path) -> None:
    one = stack(tmp_path, redis_url="redis://elsewhere:6379/1")
    assert one.redis is None
    assert one.environment()["MAGEDIT_REDIS_URL"] == "redis://elsewhere:6379/1"


def test_port_0_becomes_a_free_one(tmp_path: Path) -> None:
    assert stack(tmp_path, api_port=0).settings.api_port > 0
    assert stack(tmp_path, api_host="::1", api_port=80).url == "http://[::1]:80"


def test_one_stack_a_state_folder(tmp_path: Path) -> None:
    one, other = stack(tmp_path), stack(tmp_path)
    one.lock()
    with pytest.raises(StackError, match="MAGEDIT_STATE_DIR"):
        other.lock()
    one.stop()
    other.lock()
    other.stop()


def test_a_port_in_use_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        one = stack(tmp_path, api_port=port)
        with pytest.raises(StackError, match=f"port {port} of 127.0.0.1 is in use"):
            one.__enter__()
        assert one.processes == []
    # The state folder is free again.
    one.lock()
    one.stop()


def test_the_served_model_is_the_default_model(tmp_path: Path) -> None:
    assert stack(tmp_path, model="sd15").settings.default_model == "sd15"
    chosen = Settings(state_dir=tmp_path, model="sd15", default_model="other")
    assert Stack(chosen, workers=1, embedded=True).settings.default_model == "other"


def test_missing_parts_are_named_while_they_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NAME_AFTER_S", 0.0)
    port = free_port()
    settings = Settings(
        state_dir=tmp_path, redis_url=f"redis://:secret@127.0.0.1:{port}/0", redis_retries=0, api_port=free_port()
    )
    said: list[str] = []
    with Stack(settings, workers=0, embedded=False) as one:
        one.wait_ready(lambda: any("Redis" in each for each in said), said.append)
    assert "waiting for the front end" in said[0]
    assert all(one != other for one, other in pairwise(said))
    assert f"waiting for Redis at 127.0.0.1:{port}" in said[-1]
    assert "secret" not in said[-1]


def test_a_start_timeout_names_the_missing_part_and_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_TIMEOUT_S", 0.0)
    one = stack(tmp_path, api_port=free_port())
    with pytest.raises(StackError, match=r"waiting for the front end .*service\.log"):
        one.wait_ready()
