"""Sends mutated uploads to a front end of its own and looks at every answer, and at the memory of the process."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import httpx

from jobs.connection import connect
from jobs.models import Models
from jobs.settings import Settings
from tests.conftest import free_port, listens, running, wait_until
from tests.fuzz.framing import BOUNDARY, MASK, Request, form, head, length, parts, request
from tests.fuzz.pictures import BASES
from tests.service.conftest import model_info, tokenizer_json
from tests.worker.conftest import environment

TIMEOUT_S = 60.0
"""Longest wait for one answer, in seconds."""

SLOW_S = 1.0
"""How long a slow body takes, in seconds."""


@dataclass
class Findings:
    """What came out of a run."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[int, str]] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    @property
    def growth(self) -> int:
        """By how many bytes the process was larger in the last fifth of the run than in the second fifth."""
        fifth = max(1, len(self.memory) // 5)
        return min(self.memory[-fifth:]) - min(self.memory[fifth : 2 * fifth])


class Server(NamedTuple):
    """The front end under test."""

    port: int
    pid: int
    settings: Settings


@contextmanager
def serving(redis_url: str, folder: Path, **changes: Any) -> Iterator[Server]:
    """A front end process with a model that has a live worker."""
    port = free_port()
    settings = Settings(redis_url=redis_url, state_dir=folder, api_port=port, queue_limit=1_000_000, **changes)
    command = [sys.executable, "-m", "service"]
    with (
        connect(settings) as redis,
        (folder / "service.log").open("wb") as log,
        running(command, env=environment(settings), stderr=log) as process,
    ):
        Models(redis).announce(model_info(), "worker-1", 24 * 3600, tokenizer_json())
        wait_until(lambda: listens(port), what="front end")
        yield Server(port, process.pid, settings)


def run(server: Server, *, count: int, seed: int) -> Findings:
    """Send ``count`` requests, each from a seed of its own, and a few slow and endless ones."""
    found = Findings()
    # Nothing is known of memory before everything has been loaded once.
    for number in range(count):
        sent = request(Random(f"{seed}-{number}"))
        _look(found, number, sent, exchange(server.port, sent.raw, half_close=not sent.ends))
        if number % max(1, count // 100) == 0:
            found.memory.append(resident(server.pid))
    for number, answer in enumerate((slow(server.port), unfinished(server.port), endless(server.port))):
        _look(found, count + number, Request(b"", b"", ends=number == 0), answer)
    found.memory.append(resident(server.pid))
    if httpx.get(f"http://127.0.0.1:{server.port}/livez").status_code != 200:
        found.wrong.append((count, "the process no longer answers"))
    return found


def _look(found: Findings, number: int, sent: Request, answer: bytes) -> None:
    status, media_type, body = parsed(answer)
    found.answers[status or "none"] += 1
    if not status:
        if sent.ends:
            found.wrong.append((number, "no answer"))
    elif status >= "500":
        found.wrong.append((number, f"{status} {body[:200]!r}"))
    elif status >= "400" and media_type == "application/problem+json":
        problem = json.loads(body)
        if problem["status"] != int(status) or "Traceback" in problem["detail"]:
            found.wrong.append((number, f"{status} {body[:200]!r}"))
    elif status >= "400" and b"Invalid HTTP request received." not in body:
        # What is not HTTP is refused by the server, before there is a request.
        found.wrong.append((number, f"{status} is no problem document: {media_type}"))


def exchange(port: int, raw: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes, say whether more will come, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        try:
            connection.sendall(raw)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            # Answered, and closed, before it had read everything.
            pass
        return received(connection)


def received(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
    except ConnectionError:
        pass
    return found


def parsed(answer: bytes) -> tuple[str, str, bytes]:
    """Status, media type and body of the first answer."""
    top, _, body = answer.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    if top and "content-length" in fields:
        body = body[: int(fields["content-length"])]
    return lines[0].split(" ")[1] if top else "", fields.get("content-type", ""), body


def slow(port: int) -> bytes:
    """A whole form in small pieces."""
    body = form(parts(BASES[0], MASK))
    raw = head(length(body)) + body
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        step = max(1, len(raw) // 20)
        for at in range(0, len(raw), step):
            connection.sendall(raw[at : at + step])
            time.sleep(SLOW_S / 20)
        return received(connection)


def unfinished(port: int) -> bytes:
    """Many forms that begin and never end, and whose senders hang up."""
    body = form(parts(BASES[0], MASK))
    opened = [socket.create_connection(("127.0.0.1", port), TIMEOUT_S) for _ in range(50)]
    for connection in opened:
        connection.sendall(head(length(body)) + body[: len(body) // 2])
    for connection in opened:
        connection.close()
    return b""


def endless(port: int) -> bytes:
    """A chunked file that never ends: until the other side has had enough."""
    start = b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    block = bytes(1 << 20)
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        try:
            connection.sendall(head(b"Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (len(start), start))
            for _ in range(1000):
                connection.sendall(b"%x\r\n%b\r\n" % (len(block), block))
        except OSError:
            pass
        else:
            return b"HTTP/1.1 500 took a gigabyte\r\n\r\n"
        return received(connection)


def resident(pid: int) -> int:
    """Resident memory of a process, in bytes (proc(5))."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
