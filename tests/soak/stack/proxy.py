"""A TCP proxy that misbehaves on request; every connection of the service with Redis and with storage goes through one.

`pass`; `refuse`: a connection is closed as soon as it is made, and those that exist are cut; `stall`: bytes are held,
connections stay; `slow`: every chunk waits `DELAY_S`. `cut` closes what exists and lets the next ones through.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import Self

DELAY_S = 0.06
"""What a chunk waits in mode `slow`, in seconds."""

CHUNK = 65536

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Mode(StrEnum):
    """How connections are treated."""

    PASS = "pass"
    REFUSE = "refuse"
    STALL = "stall"
    SLOW = "slow"


class Proxy:
    """Listens on a free port of loopback in a thread of its own; a context manager."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        """``connect`` opens a connection to what is behind."""
        self._connect = connect
        self._mode = Mode.PASS
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.port = 0

    @classmethod
    def to_socket(cls, path: str) -> Self:
        """In front of a unix socket."""
        return cls(lambda: asyncio.open_unix_connection(path))

    @classmethod
    def to_port(cls, port: int) -> Self:
        """In front of a port of loopback."""
        return cls(lambda: asyncio.open_connection("127.0.0.1", port))

    def __enter__(self) -> Self:
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(self, mode: Mode) -> None:
        """Treat every connection so from here on."""
        asyncio.run_coroutine_threadsafe(self._set(mode), self._loop).result()

    def cut(self) -> None:
        """Close every connection that exists."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    async def _listen(self) -> asyncio.Server:
        self._flow = asyncio.Event()
        self._flow.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server

    async def _set(self, mode: Mode) -> None:
        self._mode = mode
        if mode is Mode.STALL:
            self._flow.clear()
        else:
            self._flow.set()
        if mode is Mode.REFUSE:
            await self._cut()

    async def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        # A service that is killed closes its end in the middle of anything: that is what this proxy is for.
        with suppress(OSError, asyncio.CancelledError):
            if self._mode is not Mode.REFUSE:
                await self._join(reader, writer)
        writer.transport.abort()
        self._open.discard(writer)
        self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, to_behind = await self._connect()
        self._open.add(to_behind)
        ways = [asyncio.ensure_future(self._pump(reader, to_behind)), asyncio.ensure_future(self._pump(behind, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_behind.transport.abort()
            self._open.discard(to_behind)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            if self._mode is Mode.SLOW:
                await asyncio.sleep(DELAY_S)
            await self._flow.wait()
            sink.write(data)
            await sink.drain()
