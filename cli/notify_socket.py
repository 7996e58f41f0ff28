"""Where a supervised program says that it lives: the datagram socket of sd_notify(3)."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path

_MESSAGE_BYTES = 4096


class Ear:
    """Hears one program. What it says does not matter: that it says something is the news."""

    def __init__(self) -> None:
        # A folder that only this user can enter; a path short enough for a socket.
        self._folder = Path(tempfile.mkdtemp(prefix="magedit-"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._folder / "notify"))

    def environment(self, silence_s: float) -> dict[str, str]:
        """The variables by which the program finds this ear, and learns how long it may be silent."""
        return {"NOTIFY_SOCKET": str(self._folder / "notify"), "WATCHDOG_USEC": str(int(silence_s * 1e6))}

    def heard(self) -> bool:
        """Whether the program has said something since the last time."""
        news = False
        while True:
            try:
                news = bool(self._socket.recv(_MESSAGE_BYTES)) or news
            except BlockingIOError:
                return news

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)
