from __future__ import annotations

import socket
from pathlib import Path

from cli.notify_socket import Ear


def test_it_hears_news_once_and_leaves_nothing() -> None:
    ear = Ear()
    given = ear.environment(1.5)
    assert given["WATCHDOG_USEC"] == "1500000"
    path = Path(given["NOTIFY_SOCKET"])
    assert path.parent.stat().st_mode & 0o077 == 0
    assert not ear.heard()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        for _ in range(3):
            speaker.sendto(b"WATCHDOG=1", str(path))
    assert ear.heard()
    assert not ear.heard()
    ear.close()
    assert not path.parent.exists()
