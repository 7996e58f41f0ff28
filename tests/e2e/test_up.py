"""`magedit up`: serves, restarts what dies, leaves no process behind, and finds finished edits again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from magedit.client import Client
from tests.conftest import CHECKPOINT, PATIENCE_S, alive, descendants, free_port, wait_until
from tests.e2e.conftest import PROMPTS, QUICK


@contextmanager
def up(state: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`magedit up` with its state in ``state``: the process, and where it will serve. Stopped by SIGTERM at the end."""
    port = free_port()
    environment = {
        **os.environ,
        "MAGEDIT_STATE_DIR": str(state),
        "MAGEDIT_CHECKPOINT": str(CHECKPOINT),
        "MAGEDIT_DEVICE": "cpu",
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "cli", "up", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)


def await_ready(process: subprocess.Popen[str], url: str) -> None:
    """Read what `magedit up` says until it serves."""
    assert process.stdout is not None
    said = ""
    while f"ready: {url}" not in said:
        line = process.stdout.readline()
        assert line, f"ended before it was ready:\n{said}"
        said += line


def answers(url: str) -> bool:
    """Whether the front end is there; workers may still be loading."""
    try:
        return httpx.get(f"{url}/livez").is_success
    except httpx.TransportError:
        return False


def find(pids: list[int], module: str) -> int:
    """The one that runs `python -m module`."""
    end = f"-m\0{module}\0"
    return next(pid for pid in pids if Path(f"/proc/{pid}/cmdline").read_text().endswith(end))


def test_start_edit_stop_start(tmp_path: Path, files: tuple[Path, Path]) -> None:
    state = tmp_path / "state"
    with up(state) as (process, url), Client(url) as client:
        await_ready(process, url)
        # A worker that dies is started again, and what it had in hand is carried out.
        os.kill(find(descendants(process.pid), "worker"), signal.SIGKILL)
        done = client.wait(client.submit(files[0], [files[1]], **PROMPTS, **QUICK).id)
        assert done.state == "succeeded"
        result = client.result(done.id)
        started = descendants(process.pid)
        assert len(started) == 3
    assert process.returncode == 0
    assert not any(alive(pid) for pid in started)

    with up(state) as (process, url), Client(url) as client:
        wait_until(lambda: answers(url), what="the front end")
        assert client.get(done.id) == done
        assert client.result(done.id) == result

        # A second one leaves this state folder alone.
        again = subprocess.run(
            [sys.executable, "-m", "cli", "up", "--port", "0"],
            env={**os.environ, "MAGEDIT_STATE_DIR": str(state), "COLUMNS": "300"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 1
        assert "MAGEDIT_STATE_DIR" in again.stdout

        # Not even SIGKILL leaves something behind.
        started = descendants(process.pid)
        assert len(started) == 3
        process.kill()
        wait_until(lambda: not any(alive(pid) for pid in started), what="the end of every process")
