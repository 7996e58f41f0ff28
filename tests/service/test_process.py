"""`python -m service` as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.conftest import free_port, wait_until


def test_it_serves_and_stops_on_sigterm(redis_url: str, tmp_path: Path) -> None:
    port = free_port()
    settings = {"REDIS_URL": redis_url, "STATE_DIR": str(tmp_path), "API_PORT": str(port)}
    environment = os.environ | {f"MAGEDIT_{name}": value for name, value in settings.items()}
    with subprocess.Popen([sys.executable, "-m", "service"], env=environment, stderr=subprocess.DEVNULL) as process:

        def answers() -> bool:
            assert process.poll() is None
            try:
                return httpx.get(f"http://127.0.0.1:{port}/livez").is_success
            except httpx.TransportError:
                return False

        wait_until(answers, what="front end")
        process.send_signal(signal.SIGTERM)
        process.wait(20)
