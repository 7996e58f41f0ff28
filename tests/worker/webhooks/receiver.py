"""A receiver of webhooks as a customer would write it, with the library of Standard Webhooks."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

from tests.conftest import PATIENCE_S


class Receiver:
    """Verifies what it gets and answers as told; ``answer(number)`` gives the status of the nth request, from 1."""

    def __init__(self, secret: str, answer: Callable[[int], int]) -> None:
        self.secret, self.answer = secret, answer
        self.accepted: list[tuple[str, dict[str, Any]]] = []
        self.requests = 0
        self.paths: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.url = ""

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        """Listen on a free port of loopback."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.requests += 1
                receiver.paths.append(self.path)
                number = receiver.requests
                body = self.rfile.read(int(self.headers["content-length"]))
                event = Webhook(receiver.secret).verify(body, dict(self.headers))
                receiver.gate.wait(PATIENCE_S)
                status = receiver.answer(number)
                if 200 <= status < 300:
                    receiver.accepted.append((self.headers["webhook-id"], event))
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", receiver.url + "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            self.gate.set()
            server.shutdown()
            thread.join()
            server.server_close()


@contextmanager
def dripping(pause_s: float) -> Iterator[str]:
    """A server that answers with a byte of an endless header now and then; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
            while not over.is_set():
                try:
                    connection.sendall(b"a")
                except OSError:
                    return
                time.sleep(pause_s)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        thread.join()
        listener.close()
