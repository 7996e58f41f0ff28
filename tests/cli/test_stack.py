"""What the stack decides before anything runs; the running stack is tested end to end in tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.stack import Stack, StackError
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
