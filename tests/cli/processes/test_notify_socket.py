from __future__ import annotations

import socket
from pathlib import Path

from cli.processes.notify_socket import NotifySocket


def test_it_reports_messages_once_and_leaves_nothing() -> None:
    notify = NotifySocket()
    given = notify.environment(1.5)
    assert given["WATCHDOG_USEC"] == "1500000"
    path = Path(given["NOTIFY_SOCKET"])
    assert path.parent.stat().st_mode & 0o077 == 0
    assert not notify.received()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for _ in range(3):
            sender.sendto(b"WATCHDOG=1", str(path))
    assert notify.received()
    assert not notify.received()
    notify.close()
    assert not path.parent.exists()
