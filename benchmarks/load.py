"""API load test of one front-end process: status, submission and event streams.

On loopback, with a Redis server that writes every change to disk. Statuses are requested at a given rate (open loop, so
that a slow response delays no other), submissions by a fixed number of callers in a closed loop. The front end's CPU
time per request (proc(5)) stands beside the latencies, since it stays comparable on a busy machine. The callers are
asyncio streams of this process with minimal parsing, so that they are not the bottleneck.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.queue_depth import PROMPTS, Site, quantiles, site
from jobs.records.store import Records
from jobs.settings import Settings
from magedit.measures.report import Progress, Stage

RATE = 300
SECONDS = 5.0
DEPTH = 10_000
LISTENERS = 500
ROUNDS = 3
"""Rounds of status and submit; each figure is their median, since one pause of the machine makes a p99."""
SIZE = (512, 512)
CALLERS = 8
"""Connections in use at a time."""

WARM = 20
"""Edits submitted before the measurement, queued throughout, whose status is requested."""

PROGRESS_S = 0.25
"""Pause between two changes of the watched edit, in seconds, as of a worker."""

BOUNDARY = "magedit-load"


@dataclass
class Load:
    """Result of one load: latencies in milliseconds, wall and CPU seconds of the front end."""

    latency_ms: list[float] = field(default_factory=list)
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def figures(self) -> dict[str, float]:
        """Rate, latencies, and CPU milliseconds per request."""
        count = len(self.latency_ms)
        return {**quantiles(self.latency_ms), "per_s": count / self.wall_s, "cpu_ms": self.cpu_s / count * 1e3}


class Connection:
    """One kept-alive connection to the front end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect to loopback."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes, expected: int) -> bytes:
        """Send a request and return the response body. Raises RuntimeError for another status."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        body = await self._reader.readexactly(int(size or 0))
        if head.split(b" ", 2)[1] != b"%d" % expected:
            raise RuntimeError(f"{head.splitlines()[0]!r}: {body[:300]!r}")
        return body

    async def close(self) -> None:
        """Close the connection."""
        await closed(self._writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection and wait until its socket is closed, which a loop that ends earlier leaves open."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def cpu_s(pid: int) -> float:
    """CPU time of a process, user and system, in seconds (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status_request(edit_id: str) -> bytes:
    """`GET /v1/edits/{id}`."""
    return f"GET /v1/edits/{edit_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def submit_request(size: tuple[int, int] = SIZE) -> bytes:
    """`POST /v1/edits` with a photograph-like image and a mask of this size."""
    noise = Image.effect_noise(size, 40)
    picture = Image.merge(
        "RGB", (noise, Image.linear_gradient("L").resize(size), Image.radial_gradient("L").resize(size))
    )
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2))
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in PROMPTS.items()
    ]
    for name, image, encoding in (("image", picture, "JPEG"), ("mask", mask, "PNG")):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'.encode()
        buffer = io.BytesIO()
        image.save(buffer, encoding)
        parts.append(head + buffer.getvalue() + b"\r\n")
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    top = f"POST /v1/edits HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return top.encode() + body


async def at_rate(at: Site, requests: list[bytes], *, rate: float, seconds: float) -> Load:
    """Send these requests in turn, ``rate`` per second; latency counts from the time a request is due."""
    load = Load()
    idle: asyncio.Queue[Connection] = asyncio.Queue()
    connections = [await Connection.open(_port(at)) for _ in range(8 * CALLERS)]
    for each in connections:
        idle.put_nowait(each)

    async def one(number: int, due: float) -> None:
        connection = await idle.get()
        await connection.ask(requests[number % len(requests)], 200)
        load.latency_ms.append((time.perf_counter() - due) * 1e3)
        idle.put_nowait(connection)

    async def all_of_them() -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                await asyncio.sleep(due - time.perf_counter())
                tasks.create_task(one(number, due))

    await _measured(at, load, all_of_them)
    for each in connections:
        await each.close()
    return load


async def as_fast(at: Site, request: bytes, *, seconds: float) -> Load:
    """Submit with `CALLERS` callers for ``seconds``, then delete the submitted edits."""
    load = Load()
    made: list[str] = []
    connections = [await Connection.open(_port(at)) for _ in range(CALLERS)]

    async def caller(connection: Connection) -> None:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            answer = await connection.ask(request, 202)
            load.latency_ms.append((time.perf_counter() - began) * 1e3)
            made.append(json.loads(answer)["id"])

    async def all_of_them() -> None:
        await asyncio.gather(*(caller(each) for each in connections))

    await _measured(at, load, all_of_them)
    # So that the next round starts with the same queue.
    for edit_id in made:
        await connections[0].ask(f"DELETE /v1/edits/{edit_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 204)
    for each in connections:
        await each.close()
    return load


async def listened(at: Site, edit_id: str, *, listeners: int, seconds: float) -> Load:
    """Change an edit's progress as a worker does and time its arrival at each listener."""
    load = Load()
    records = Records(at.redis, Settings())
    claim = await asyncio.to_thread(records.claim, edit_id, "benchmark")
    assert claim is not None
    said: dict[int, float] = {}
    request = f"GET /v1/edits/{edit_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    opened = [await asyncio.open_connection("127.0.0.1", _port(at)) for _ in range(listeners)]
    ready = asyncio.Semaphore(0)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(request)
        async for line in reader:
            if line.startswith(b"event: "):
                ready.release()
            elif line.startswith(b"data: ") and b'"step":' in line:
                step = int(line.partition(b'"step":')[2].split(b",")[0])
                if step in said:
                    load.latency_ms.append((time.perf_counter() - said[step]) * 1e3)

    async def all_of_them() -> None:
        for step in range(1, int(seconds / PROGRESS_S) + 1):
            said[step] = time.perf_counter()
            news = Progress(stage=Stage.EDIT, step=step, steps=1000, fraction=step / 1000)
            await asyncio.to_thread(records.renew, claim, news)
            await asyncio.sleep(PROGRESS_S)
        await asyncio.sleep(1.0)

    tasks = [asyncio.create_task(listen(*each)) for each in opened]
    for _ in range(listeners):
        await ready.acquire()
    await _measured(at, load, all_of_them)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _, writer in opened:
        await closed(writer)
    return load


async def _measured(at: Site, load: Load, work: Callable[[], Awaitable[None]]) -> None:
    used, began = cpu_s(at.front_end()), time.perf_counter()
    await work()
    load.wall_s, load.cpu_s = time.perf_counter() - began, cpu_s(at.front_end()) - used


def _port(at: Site) -> int:
    return at.client.base_url.port or 80


async def measure(
    at: Site, *, rate: float, seconds: float, listeners: int, rounds: int = ROUNDS
) -> dict[str, list[Load]]:
    """The three loads on one service, the first two in turns ``rounds`` times."""
    submit = submit_request()
    connection = await Connection.open(_port(at))
    # Warm up: the first requests trigger lazy imports.
    ids = [json.loads(await connection.ask(submit, 202))["id"] for _ in range(WARM)]
    await connection.close()
    statuses = [status_request(each) for each in ids]
    loads: dict[str, list[Load]] = {"status": [], "submit": []}
    for _ in range(rounds):
        loads["status"].append(await at_rate(at, statuses, rate=rate, seconds=seconds))
        loads["submit"].append(await as_fast(at, submit, seconds=seconds))
    if listeners:
        loads["event"] = [await listened(at, ids[0], listeners=listeners, seconds=seconds)]
    return loads


def medians(rounds: list[Load]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    figures = [each.figures() for each in rounds]
    return {name: statistics.median(each[name] for each in figures) for name in figures[0]}


def main() -> None:
    """Print the table and, if asked, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=RATE, help="statuses a second")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load")
    parser.add_argument("--depth", type=int, default=DEPTH, help="queued edits in the second run")
    parser.add_argument("--listeners", type=int, default=LISTENERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of which the medians are reported")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    table = Table(title=f"one front-end process; {asked.rate:g} statuses/s; {asked.listeners} listeners")
    for column in ("call", "in line", "n", "per s", "p50 ms", "p99 ms", "CPU ms each"):
        table.add_column(column, justify="right")
    found: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="magedit-") as folder:
        for depth in dict.fromkeys((0, asked.depth)):
            with ExitStack() as stack:
                at = stack.enter_context(site(Path(folder) / str(depth), depth))
                loads = asyncio.run(
                    measure(
                        at,
                        rate=asked.rate,
                        seconds=asked.seconds,
                        listeners=0 if depth else asked.listeners,
                        rounds=asked.rounds,
                    )
                )
            found[str(depth)] = {name: medians(rounds) for name, rounds in loads.items()}
            for name, each in found[str(depth)].items():
                cells = (f"{each[key]:.2f}" for key in ("per_s", "p50", "p99", "cpu_ms"))
                table.add_row(name, str(depth), f"{each['n']:.0f}", *cells)
    Console(width=100).print(table)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
