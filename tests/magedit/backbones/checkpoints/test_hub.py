"""Messages of the hub, played by a server of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from magedit.backbones.checkpoints.inspect import inspect
from magedit.errors import CheckpointError


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does for one gated and one missing repository."""

    def do_GET(self) -> None:
        is_gated = "gated" in self.path
        code = "RevisionNotFound" if "/revision/" in self.path else "GatedRepo" if is_gated else "RepoNotFound"
        self.send_response(403 if is_gated else 404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_mistyped_gated_and_unreachable_have_their_own_messages(hub: str) -> None:
    for name, revision, endpoint, told in (
        ("nobody/mistyped", None, hub, "there is no checkpoint 'nobody/mistyped' on the hub"),
        ("nobody/gated", None, hub, "is gated: accept its terms"),
        ("nobody/known", "v9", hub, "has no revision 'v9' on the hub"),
        ("nobody/away", None, "http://127.0.0.1:9", "the hub cannot be reached to look for 'nobody/away'"),
    ):
        with pytest.raises(CheckpointError) as caught:
            inspect(name, revision=revision, endpoint=endpoint)
        assert told in caught.value.message
