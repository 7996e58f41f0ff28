"""SSRF-safe webhook POST (OWASP, "Server Side Request Forgery Prevention").

The name is resolved once, all its addresses must be public, and the connection goes to a checked address, which
defeats DNS rebinding. No proxy, no redirect, no cookie; the response body is not read. One deadline bounds everything,
however slowly the other side answers.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import httpcore

from jobs.webhooks.addresses import is_public

Resolve = Callable[[str, int], Sequence[str]]
"""The IP addresses of a host's name."""


class CannotSend(Exception):
    """The request failed; the message says why without revealing internals."""


def resolve(host: str, port: int) -> Sequence[str]:
    """The TCP addresses of ``host``, in order of preference. Raises CannotSend."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CannotSend("the host has no address") from error
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def post(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    timeout_s: float,
    private: bool = False,
    context: ssl.SSLContext,
    resolve: Resolve = resolve,
) -> int:
    """Send ``body`` and return the status of the response; redirects are not followed.

    Args:
        url: accepted by `jobs.webhooks.message.check_url`.
        headers: request headers; `Host` and `Content-Length` are added.
        body: request body.
        timeout_s: for everything together, in seconds.
        private: allow non-public addresses.
        context: TLS settings and trust.
        resolve: resolves host names.

    Raises:
        CannotSend: there was no response, or the address is not allowed.
    """
    way = _CheckedBackend(time.monotonic() + timeout_s, private=private, resolve=resolve)
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)
    try:
        with (
            httpcore.ConnectionPool(ssl_context=context, network_backend=way) as pool,
            pool.stream(
                "POST", url, headers=list(headers.items()), content=body, extensions={"timeout": timeouts}
            ) as answer,
        ):
            return int(answer.status)
    except httpcore.TimeoutException as error:
        raise CannotSend(f"no response within {timeout_s:g} s") from error
    except (httpcore.ConnectError, ssl.SSLError) as error:
        reason = error.__cause__ or error.__context__ or error
        if isinstance(reason, ssl.SSLError):
            raise CannotSend(f"TLS failed: {reason.reason or 'unknown reason'}") from error
        raise CannotSend("the host refuses the connection") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise CannotSend("the host closed the connection or does not speak HTTP") from error


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses only, until a deadline (monotonic seconds)."""

    def __init__(self, deadline: float, *, private: bool, resolve: Resolve) -> None:
        self._deadline, self._private, self._resolve = deadline, private, resolve
        self._tcp = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self._resolve(host, port)
        if not self._private and not all(is_public(each) for each in addresses):
            raise CannotSend("the host resolves to an address that is not public")
        refused: Exception | None = None
        for address in addresses:
            try:
                left = _left(self._deadline, httpcore.ConnectTimeout)
                stream = self._tcp.connect_tcp(address, port, left, local_address, socket_options)
                return _DeadlineStream(stream, self._deadline)
            except httpcore.ConnectError as error:
                refused = error
        raise refused or CannotSend("the host has no address")


class _DeadlineStream(httpcore.NetworkStream):
    """A stream whose every wait ends at the deadline, so that a trickle of bytes does not extend it."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, _left(self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, _left(self._deadline, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        left = _left(self._deadline, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, late: type[httpcore.TimeoutException]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise late
    return left
