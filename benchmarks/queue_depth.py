"""Latency of submission and status with 10,000 waiting edits.

Two services side by side, each a Redis server of its own (append-only file, every write on the disk), one front-end
process and one reaper, without workers. One queue is empty, the other long. Every request goes to both in turn, so that
other load on the machine affects both alike; each submitted edit is canceled again, so that the depth stays constant.
It is last in the queue, where finding its position takes longest.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import cast

import httpx
from PIL import Image
from redis import Redis
from rich.console import Console
from rich.table import Table

from cli.processes.embedded_redis import EmbeddedRedis
from cli.processes.stack import free_port
from cli.processes.supervisor import Program, Supervised, stop_all
from jobs.connection import connect
from jobs.models import ModelInfo, Models, tokenizer_sha256
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.schema import EditRequest, JobRecord, new_id
from jobs.settings import Settings
from jobs.storage import image_key, mask_key
from magedit.config import Region
from magedit.demo import checkpoint_path

DEPTH = 10_000
START_S = 60.0
TENANT = "local"
PROMPTS = {"source_prompt": "a room with a red carpet", "target_prompt": "a room with a yellow carpet"}
SIZE = (64, 48)


@dataclass(frozen=True)
class Site:
    """One of the two services."""

    depth: int
    client: httpx.Client
    redis: Redis
    front_end: Callable[[], int]
    """Its process id."""


@contextmanager
def site(folder: Path, depth: int) -> Iterator[Site]:
    """A service with ``depth`` queued edits."""
    folder.mkdir()
    embedded = EmbeddedRedis(folder / "redis")
    settings = Settings(
        redis_url=embedded.url,
        state_dir=folder,
        api_port=free_port(),
        queue_limit=depth + 2 * DEPTH,
        result_ttl_s=24 * 3600,
    )
    changed = ("redis_url", "state_dir", "api_port", "queue_limit")
    environment = {**os.environ, **{f"MAGEDIT_{name.upper()}": str(getattr(settings, name)) for name in changed}}
    url = f"http://127.0.0.1:{settings.api_port}"
    running: list[Supervised] = []
    with ExitStack() as stack:
        stack.callback(lambda: stop_all(reversed(running)))
        running.append(Supervised(embedded.program(), folder))
        _await(embedded.answers)
        redis = stack.enter_context(connect(settings))
        _announce(redis)
        _fill(redis, settings, depth)
        for module in ("service", "worker.reaper"):
            command = (sys.executable, "-m", module)
            running.append(
                Supervised(Program(name=module, command=command, environment=environment, grace_s=10), folder)
            )
        client = stack.enter_context(httpx.Client(base_url=url, timeout=30))
        _await(lambda: _answers(client))
        yield Site(depth, client, redis, lambda: running[1].pid)


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"a process did not start within {START_S} s")
        time.sleep(0.05)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").is_success
    except httpx.TransportError:
        return False


def _announce(redis: Redis) -> None:
    """Announce the demo checkpoint's model, as a worker would."""
    tokenizer_json = (checkpoint_path() / "tokenizer" / "tokenizer.json").read_text()
    info = ModelInfo(
        name="demo",
        checkpoint="demo",
        image_size=128,
        max_prompt_tokens=77,
        tokenizer_sha256=tokenizer_sha256(tokenizer_json),
        methods=("mag-edit",),
        inversions=("direct",),
        device="cpu",
        dtype="float32",
    )
    Models(redis).announce(info, "benchmark", 24 * 3600, tokenizer_json)


def _fill(redis: Redis, settings: Settings, depth: int) -> None:
    """Create records and queue as the front end does, without pictures."""
    records = Records(redis, settings)
    queue = JobQueue(redis, records)
    request = EditRequest(
        model="demo",
        source_prompt=PROMPTS["source_prompt"],
        target_prompt=PROMPTS["target_prompt"],
        regions=(Region(words=("yellow",)),),
    )
    for _ in range(depth):
        job = new_id()
        queue.enqueue(
            records.create(
                JobRecord(
                    id=job,
                    tenant=TENANT,
                    request=request,
                    image=image_key(TENANT, job),
                    masks=(mask_key(TENANT, job, 0),),
                )
            )
        )


def measure(sites: list[Site], repeats: int, seed: int) -> dict[str, dict[int, list[float]]]:
    """Milliseconds of every request, by call and depth."""
    rng = random.Random(seed)
    picture, mask = Image.linear_gradient("L").resize(SIZE).convert("RGB"), Image.new("L", SIZE)
    mask.paste(255, (16, 16, 40, 40))
    files = [("image", ("i.png", _png(picture))), ("mask", ("m.png", _png(mask)))]
    taken: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))

    def timed(name: str, each: Site, request: Callable[[], httpx.Response]) -> httpx.Response:
        began = time.perf_counter()
        answer = request().raise_for_status()
        taken[name][each.depth].append((time.perf_counter() - began) * 1e3)
        return answer

    for repeat in range(-repeats // 10, repeats):
        if repeat == 0:
            # Discard the warm-up of connections and caches.
            taken.clear()
        made: dict[int, str] = {}
        for each in rng.sample(sites, len(sites)):
            answer = timed("submit", each, partial(each.client.post, "/v1/edits", data=PROMPTS, files=files))
            made[each.depth] = answer.json()["links"]["self"]
        for each in rng.sample(sites, len(sites)):
            answer = timed("status", each, partial(each.client.get, made[each.depth]))
            assert answer.json()["queue_position"] == each.depth
        for each in rng.sample(sites, len(sites)):
            timed("cancel", each, partial(each.client.put, f"{made[each.depth]}/cancel"))
    return taken


def _png(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def inside_redis(each: Site) -> dict[str, float]:
    """The server's milliseconds per call of commands that could depend on the depth, and of the slowest command."""
    stats = cast("dict[str, dict[str, float]]", each.redis.info("commandstats"))
    wanted = ("lpos", "evalsha", "lrem", "lrange", "smembers")
    calls = {name: stats[f"cmdstat_{name}"]["usec_per_call"] / 1e3 for name in wanted if f"cmdstat_{name}" in stats}
    slowest = max((entry["duration"] for entry in each.redis.slowlog_get(128)), default=0)
    return {**calls, "slowest command": slowest / 1e3}


def quantiles(values: list[float]) -> dict[str, float]:
    """Median, 99th percentile and their count."""
    return {"p50": statistics.median(values), "p99": statistics.quantiles(values, n=100)[98], "n": len(values)}


def main() -> None:
    """Print the table and, if asked, write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=DEPTH)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="magedit-") as folder, ExitStack() as stack:
        sites = [stack.enter_context(site(Path(folder) / str(depth), depth)) for depth in (0, asked.depth)]
        for each in sites:
            each.redis.config_resetstat()
        taken = measure(sites, asked.repeats, asked.seed)
        inside = {each.depth: inside_redis(each) for each in sites}
    figures = {name: {depth: quantiles(values) for depth, values in by.items()} for name, by in taken.items()}
    table = Table(title=f"{asked.repeats} requests each, in turns; milliseconds")
    for column in ("call", "p50, none waits", f"p50, {asked.depth} wait", "ratio", "p99, none", f"p99, {asked.depth}"):
        table.add_column(column, justify="right")
    for name, by in figures.items():
        none, many = by[0], by[asked.depth]
        ratio = many["p50"] / none["p50"]
        cells = (none["p50"], many["p50"], ratio, none["p99"], many["p99"])
        table.add_row(name, *(f"{cell:.2f}" for cell in cells))
    server = Table(title="in the Redis server, milliseconds per call")
    for column in ("command", "none waits", f"{asked.depth} wait"):
        server.add_column(column, justify="right")
    for command in sorted({*inside[0], *inside[asked.depth]}):
        server.add_row(command, *(f"{inside[depth].get(command, 0.0):.3f}" for depth in (0, asked.depth)))
    console = Console(width=110)
    console.print(table)
    console.print(server)
    if asked.json:
        asked.json.write_text(json.dumps({"latency_ms": figures, "redis_ms": inside}, indent=1))


if __name__ == "__main__":
    main()
