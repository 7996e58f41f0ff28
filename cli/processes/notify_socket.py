"""The sd_notify(3) socket on which a supervised program reports that it is alive."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path

_MESSAGE_BYTES = 4096


class NotifySocket:
    """Receives one program's messages. Their content does not matter: any message means that it is alive."""

    def __init__(self) -> None:
        # A folder that only this user can enter; a path short enough for a socket.
        self._folder = Path(tempfile.mkdtemp(prefix="magedit-"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._folder / "notify"))

    def environment(self, silence_s: float) -> dict[str, str]:
        """The variables that tell the program this socket and how long it may be silent, in seconds."""
        return {"NOTIFY_SOCKET": str(self._folder / "notify"), "WATCHDOG_USEC": str(int(silence_s * 1e6))}

    def received(self) -> bool:
        """Whether a message has arrived since the last call."""
        news = False
        while True:
            try:
                news = bool(self._socket.recv(_MESSAGE_BYTES)) or news
            except BlockingIOError:
                return news

    def close(self) -> None:
        """Close the socket and remove its folder."""
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)
