from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.conftest import wait_until
from tests.soak.stack.proxy import DELAY_S, Mode, Proxy

PATIENCE_S = 20.0
SOON_S = 0.3


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says what it hears."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(100):
                connection.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy.to_port(echo) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE_S)


def says(connection: socket.socket, text: bytes) -> bool:
    """Whether what is sent comes back; False: the connection is cut."""
    try:
        connection.sendall(text)
        return connection.recv(100) == text
    except ConnectionError:
        return False


def test_proxy_passes_data_through(proxy: Proxy) -> None:
    with connect(proxy) as first, connect(proxy) as second:
        assert says(first, b"one")
        assert says(second, b"two")
        assert says(first, b"three")


def test_proxy_cuts_open_connections(proxy: Proxy) -> None:
    with connect(proxy) as before:
        assert says(before, b"one")
        proxy.cut()
        assert not says(before, b"two")
    with connect(proxy) as after:
        assert says(after, b"three")


def test_proxy_refuses_connections(proxy: Proxy) -> None:
    with connect(proxy) as before:
        assert says(before, b"one")
        proxy.set(Mode.REFUSE)
        assert not says(before, b"two")
    with connect(proxy) as during:
        assert not says(during, b"three")
    proxy.set(Mode.PASS)
    with connect(proxy) as after:
        assert says(after, b"four")


def test_stalled_proxy_delivers_all_bytes_once_released(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert says(connection, b"one")
        proxy.set(Mode.STALL)
        connection.sendall(b"two")
        connection.settimeout(SOON_S)
        with pytest.raises(TimeoutError):
            connection.recv(100)
        proxy.set(Mode.PASS)
        connection.settimeout(PATIENCE_S)
        assert connection.recv(100) == b"two"


def test_slow_proxy_delays_both_directions(proxy: Proxy) -> None:
    proxy.set(Mode.SLOW)
    with connect(proxy) as connection:
        began = time.monotonic()
        assert says(connection, b"one")
        assert time.monotonic() - began >= 2 * DELAY_S


def test_proxy_closes_the_connection_without_a_server(echo: int) -> None:  # noqa: ARG001
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with Proxy.to_port(port) as proxy, connect(proxy) as connection:
        wait_until(lambda: not says(connection, b"one"))
