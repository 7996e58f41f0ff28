"""Bodies that do not arrive."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from jobs.settings import Settings
from service.middleware import body_timeout
from tests.conftest import PATIENCE_S
from tests.fuzz.framing import MASK, form, head, length, parts
from tests.fuzz.pictures import BASES
from tests.fuzz.uploads import parsed, received
from tests.service.conftest import Announce, serving

IDLE_S = 0.5


@pytest.fixture
def impatient(settings: Settings, announce: Announce) -> Iterator[int]:
    """The port of a front end that waits so long."""
    announce()
    with serving(settings.model_copy(update={"body_idle_s": IDLE_S})) as client:
        yield client.base_url.port or 0


def exchange(port: int, pieces: list[bytes], pause_s: float) -> bytes:
    """Send pieces with pauses between them; all that comes back."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except OSError:
                break
            time.sleep(pause_s)
        return received(connection)


def test_stalled_body_times_out(impatient: int) -> None:
    content = form(parts(BASES[0], MASK))
    kept_alive = head(length(content)).replace(b"Connection: close\r\n", b"")
    answer = exchange(impatient, [kept_alive + content[: len(content) // 2]], 0)
    status, kind, problem = parsed(answer)
    assert (status, kind) == ("408", "application/problem+json")
    assert b"body_too_slow" in problem
    assert b"connection: close" in answer.lower()


def test_body_in_pieces_is_accepted(settings: Settings, announce: Announce) -> None:
    """It takes longer than a pause may take, and no pause does: on a machine where that pause is long enough."""
    announce()
    content = form(parts(BASES[0], MASK))
    middle = len(content) // 2
    pieces = [head(length(content)), content[:middle], content[middle:]]
    for idle_s in (IDLE_S, 10 * IDLE_S, 60 * IDLE_S):
        with serving(settings.model_copy(update={"body_idle_s": idle_s})) as client:
            if parsed(exchange(client.base_url.port or 0, pieces, idle_s / 2))[0] == "202":
                break
    else:
        pytest.fail("given up")


def test_trickling_body_times_out(impatient: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_timeout, "SLOWEST", 1000)
    content = form(parts(BASES[0], MASK))
    # A byte each tenth of the longest pause, for ten times that.
    pieces = [head(length(content)), *(content[at : at + 1] for at in range(100))]
    began = time.monotonic()
    assert parsed(exchange(impatient, pieces, IDLE_S / 10))[0] == "408"
    assert time.monotonic() - began >= IDLE_S


def test_response_may_take_longer_than_the_body_timeout(settings: Settings, announce: Announce) -> None:
    """Who waits for an edit has sent everything."""
    announce()
    with serving(settings.model_copy(update={"body_idle_s": IDLE_S})) as impatient:
        files = [("image", BASES[0]), ("mask", MASK)]
        data = {"source_prompt": "a room with a green carpet", "target_prompt": "a room with a purple carpet"}
        answer = impatient.post("/v1/edits", files=files, data=data, headers={"Prefer": "wait=2"})
        assert answer.status_code == 202
        assert answer.headers["preference-applied"] == "wait=2"
