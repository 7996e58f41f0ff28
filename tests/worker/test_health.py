from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jobs.connection import connect
from jobs.settings import Settings
from tests.conftest import free_port
from tests.jobs.conftest import Desk
from tests.worker.conftest import environment
from tests.worker.models.painter import painting_model
from worker.health import is_serving, main


def test_healthy_while_a_worker_of_this_host_announces_itself(desk: Desk, gates: Path) -> None:
    served = painting_model(gates)
    assert not is_serving(desk.redis, "host")
    desk.models.announce(served.info, "host-1-abc", 60, "{}")
    assert is_serving(desk.redis, "host")
    assert not is_serving(desk.redis, "hos")


def test_unhealthy_without_redis() -> None:
    settings = Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0", redis_retries=0)
    assert not is_serving(connect(settings), "host")


def test_redis_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MAGEDIT_REDIS_URL", f"redis://127.0.0.1:{server.getsockname()[1]}/0")
        asked = 0

        def refuse() -> None:
            nonlocal asked
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return
                asked += 1

        thread = threading.Thread(target=refuse)
        thread.start()
        assert main() == 1
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert asked == 1


def test_program_exits_with_the_health_status(desk: Desk) -> None:
    done = subprocess.run([sys.executable, "-m", "worker.health"], env=environment(desk.settings), check=False)
    assert done.returncode == 1
