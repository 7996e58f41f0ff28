from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
import pytest

from tests.conftest import PATIENCE_S, free_port
from tests.worker.webhooks.receiver import dripping
from worker.webhooks.safe_post import CannotSend, Resolve, post, resolve

CONTEXT = httpx.create_ssl_context()


def send(url: str, *, private: bool = True, timeout_s: float = PATIENCE_S, resolve: Resolve = resolve) -> int:
    return post(url, {"x": "y"}, b"{}", timeout_s=timeout_s, private=private, context=CONTEXT, resolve=resolve)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://localhost:9/", "http://[::1]:9/", "http://2130706433:9/"]
)
def test_private_addresses_are_rejected(url: str) -> None:
    with pytest.raises(CannotSend, match=r"not public|no address"):
        send(url, private=False)


@contextmanager
def hanging_up(host: str) -> Iterator[tuple[int, list[str]]]:
    """A port on which a request is read and the connection closed; the requests."""
    requests: list[str] = []
    with socket.create_server((host, 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                requests.append(connection.recv(65536).decode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], requests
        thread.join(PATIENCE_S)


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["93.184.215.14", "169.254.169.254"], ["::ffff:127.0.0.1"]])
def test_name_with_any_private_address_is_rejected(addresses: Sequence[str]) -> None:
    with pytest.raises(CannotSend, match="not public"):
        send("https://hooks.example/", private=False, resolve=lambda _host, _port: addresses)


def test_the_checked_address_is_the_one_connected_to() -> None:
    asked: list[tuple[str, int]] = []
    with hanging_up("127.0.0.1") as (port, requests):

        def once(host: str, at: int) -> Sequence[str]:
            asked.append((host, at))
            return ["127.0.0.1"]

        with pytest.raises(CannotSend):
            send(f"http://no-such-name.invalid:{port}/", resolve=once)
    (request,) = requests
    assert asked == [("no-such-name.invalid", port)]
    assert f"Host: no-such-name.invalid:{port}" in request


def test_the_next_address_is_tried() -> None:
    with hanging_up("127.0.0.2") as (port, requests), pytest.raises(CannotSend, match="closed the connection"):
        send(f"http://a.invalid:{port}/", resolve=lambda _host, _port: ["127.0.0.1", "127.0.0.2"])
    assert len(requests) == 1


def test_slow_response_times_out() -> None:
    """Without it this would go on for ever."""
    with dripping(0.05) as url, pytest.raises(CannotSend, match=r"no response within 0\.5 s"):
        send(url, timeout_s=0.5)


def test_closed_port_is_reported() -> None:
    with pytest.raises(CannotSend, match="refuses the connection"):
        send(f"http://127.0.0.1:{free_port()}/")


def test_plain_http_and_untrusted_certificates_are_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(CannotSend):
            send(f"https://127.0.0.1:{port}/", timeout_s=0.5)


def test_unresolvable_name_is_reported() -> None:
    with pytest.raises(CannotSend, match="no address"):
        resolve("no-such-name.invalid", 443)


def test_tls_context_checks_host_names() -> None:
    assert CONTEXT.verify_mode is ssl.CERT_REQUIRED
    assert CONTEXT.check_hostname
