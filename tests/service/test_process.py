"""`python -m service` as a process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from jobs.settings import Settings
from tests.conftest import PATIENCE_S, free_port, wait_until
from tests.jobs.conftest import open_ids
from tests.service.conftest import Announce, Form, WorkerSide

HEAD_LIMIT = 64 * 1024
"""What h11 reads of a request's head before it gives up."""


@contextmanager
def serving(redis_url: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process, which answers, and its port."""
    port = free_port()
    settings = {"REDIS_URL": redis_url, "STATE_DIR": str(folder), "API_PORT": str(port)}
    environment = os.environ | {f"MAGEDIT_{name}": value for name, value in settings.items()}
    with subprocess.Popen([sys.executable, "-m", "service"], env=environment, stderr=subprocess.DEVNULL) as process:

        def answers() -> bool:
            assert process.poll() is None
            try:
                return httpx.get(f"http://127.0.0.1:{port}/livez").is_success
            except httpx.TransportError:
                return False

        try:
            wait_until(answers, what="front end")
            yield process, port
        finally:
            process.kill()


def test_it_serves_and_stops_on_sigterm(redis_url: str, tmp_path: Path) -> None:
    with serving(redis_url, tmp_path) as (process, _):
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def test_requests_that_wait_are_answered_before_it_stops(
    settings: Settings, announce: Announce, form: Form, worker_side: WorkerSide
) -> None:
    announce()
    with (
        ThreadPoolExecutor(1) as pool,
        serving(settings.redis_url, settings.state_dir) as (process, port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=2 * PATIENCE_S) as client,
    ):
        waits = pool.submit(form.send, client, {"Prefer": "wait=50"})
        wait_until(lambda: waits.done() or bool(open_ids(worker_side.records)))
        (edit_id,) = open_ids(worker_side.records)
        with client.stream("GET", f"/v1/edits/{edit_id}/events") as events:
            lines = events.iter_lines()
            assert next(lines).startswith("event: state")
            process.send_signal(signal.SIGTERM)
            # Whole to its end, not cut off.
            assert not [line for line in lines if line.startswith("event: ")]
        answer = waits.result()
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        process.wait(PATIENCE_S)


def test_endless_request_head_is_cut_off(redis_url: str, tmp_path: Path) -> None:
    with serving(redis_url, tmp_path) as (_, port), socket.create_connection(("127.0.0.1", port), 10) as raw:
        raw.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        header, sent = b"x-more: " + b"a" * 1000 + b"\r\n", 0
        try:
            while sent < 100 * HEAD_LIMIT:
                raw.sendall(header)
                sent += len(header)
            answer = raw.recv(100)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""  # the answer is lost where the rest of the head was not read
        assert answer[:12] in (b"HTTP/1.1 400", b"")
        assert sent < 100 * HEAD_LIMIT or answer
        assert httpx.get(f"http://127.0.0.1:{port}/livez").is_success
