"""`magedit up`: serves, restarts what dies, leaves no process behind, and finds finished edits again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.client import Client
from tests.conftest import alive, descendants, wait_until
from tests.e2e.conftest import CHECKPOINT, PROMPTS, QUICK

pytestmark = pytest.mark.xdist_group("stack")


@contextmanager
def up(state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`magedit up` with its state in ``state``: the process, and where it serves. Stopped by SIGTERM at the end."""
    environment = {
        **os.environ,
        "MAGEDIT_STATE_DIR": str(state),
        "MAGEDIT_CHECKPOINT": str(CHECKPOINT),
        "MAGEDIT_DEVICE": "cpu",
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "cli", "up", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = ""
            while (found := re.search(r"ready: (http://\S+)", said)) is None:
                line = process.stdout.readline()
                assert line, f"ended before it was ready:\n{said}"
                said += line
            yield process, found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            process.wait(60)


def find(pids: list[int], module: str) -> int:
    """The one that runs `python -m module`."""
    end = f"-m\0{module}\0"
    return next(pid for pid in pids if Path(f"/proc/{pid}/cmdline").read_text().endswith(end))


def test_start_edit_stop_start(tmp_path: Path, files: tuple[Path, Path]) -> None:
    with up(tmp_path / "state") as (process, url), Client(url) as client:
        done = client.wait(client.submit(files[0], [files[1]], **PROMPTS, **QUICK).id)
        assert done.state == "succeeded"
        result = client.result(done.id)
        started = descendants(process.pid)
        assert len(started) == 3
    assert process.returncode == 0
    assert not any(alive(pid) for pid in started)

    with up(tmp_path / "state") as (process, url), Client(url) as client:
        assert client.get(done.id) == done
        assert client.result(done.id) == result
        started = descendants(process.pid)

        # A worker that dies is started again, and what is submitted meanwhile is carried out.
        os.kill(find(started, "worker"), signal.SIGKILL)
        waiting = client.submit(files[0], [files[1]], **PROMPTS, **QUICK)
        assert client.wait(waiting.id).state == "succeeded"
        started = descendants(process.pid)

        # A second one leaves this state folder alone.
        again = subprocess.run(
            [sys.executable, "-m", "cli", "up", "--port", "0"],
            env={**os.environ, "MAGEDIT_STATE_DIR": str(tmp_path / "state"), "COLUMNS": "300"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 1
        assert "MAGEDIT_STATE_DIR" in again.stdout

        # Not even SIGKILL leaves something behind.
        process.kill()
        wait_until(lambda: not any(alive(pid) for pid in started), 60, "the end of every process")
