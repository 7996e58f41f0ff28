from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cli.processes.notify_socket import NotifySocket
from jobs.settings import Settings
from worker.sd_notify import SILENCE_MIN_S, Supervisor, silence_s


def test_a_listening_supervisor_is_notified(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.setblocking(False)
        supervisor = Supervisor(environment={"NOTIFY_SOCKET": str(tmp_path / "s"), "WATCHDOG_USEC": "3600000000"})
        supervisor.ready()
        for _ in range(3):
            supervisor.alive()
        assert [listener.recv(99), listener.recv(99)] == [b"READY=1", b"WATCHDOG=1"]
        with pytest.raises(BlockingIOError):
            listener.recv(99)  # once is enough for a quarter of an hour


def test_abstract_addresses(tmp_path: Path) -> None:
    name = f"magedit-test-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        Supervisor(environment={"NOTIFY_SOCKET": "@" + name}).ready()
        assert listener.recv(99) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_without_a_supervisor_nothing_happens(address: str) -> None:
    supervisor = Supervisor(environment={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"})
    supervisor.ready()
    supervisor.alive()


def test_a_supervisor_that_does_not_read_blocks_nothing() -> None:
    notify = NotifySocket()
    supervisor = Supervisor(environment=notify.environment(1e-6))
    for _ in range(10_000):
        supervisor.alive()
    assert notify.received()
    assert not notify.received()
    notify.close()


def test_systemd_timeout_covers_a_hanging_server() -> None:
    assert silence_s(Settings(redis_timeout_s=1, redis_retries=0)) == SILENCE_MIN_S
    assert silence_s(Settings(redis_timeout_s=10, redis_retries=4)) == 2 * 5 * 21


def test_heartbeat_file_is_touched_only_when_due(tmp_path: Path) -> None:
    beat = tmp_path / "alive"
    beat.touch()
    supervisor = Supervisor(beat, {})
    supervisor.starting()
    assert not beat.exists()  # an earlier process's
    supervisor.alive()
    assert beat.exists()
    beat.unlink()
    supervisor.alive()
    assert not beat.exists()  # not at every call


def test_unwritable_heartbeat_file_does_not_stop_the_worker(tmp_path: Path) -> None:
    Supervisor(tmp_path / "no folder" / "alive", {}).alive()
