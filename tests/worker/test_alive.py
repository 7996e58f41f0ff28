"""Liveness by the age of a file, of every program of the worker, while Redis is away."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.settings import Settings
from tests.conftest import free_port, running, wait_until
from tests.worker.conftest import environment
from worker.alive import problem
from worker.sd_notify import SILENCE_MIN_S


def settings(file: Path | None) -> Settings:
    return Settings(
        redis_url=f"redis://127.0.0.1:{free_port()}/0",
        redis_timeout_s=1,
        redis_retries=0,
        storage_url="memory:",
        heartbeat_file=file,
    )


def test_only_a_recent_heartbeat_file_counts(tmp_path: Path) -> None:
    beat = tmp_path / "alive"
    assert "No such file" in str(problem(settings(beat)))
    beat.touch()
    assert problem(settings(beat)) is None
    old = time.time() - SILENCE_MIN_S - 60
    os.utime(beat, (old, old))
    assert "90 s old; 30 s are allowed" in str(problem(settings(beat)))


def test_without_a_file_it_says_which_setting_is_missing() -> None:
    assert "MAGEDIT_HEARTBEAT_FILE" in str(problem(settings(None)))


@pytest.mark.parametrize("module", ["worker.reaper", "worker.webhooks", "worker"])
def test_each_program_lives_while_redis_is_away(module: str, tmp_path: Path) -> None:
    beat = tmp_path / "alive"
    env = environment(settings(beat))

    def status() -> int:
        return subprocess.run(
            [sys.executable, "-m", "worker.alive"], env=env, capture_output=True, check=False
        ).returncode

    assert status() == 1
    with running([sys.executable, "-m", module], env=env, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: process.poll() is not None or beat.exists(), what="first sign of life")
        assert process.poll() is None
        assert status() == 0
