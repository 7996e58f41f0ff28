"""Scaling: the measured load on one Redis, and simulated waiting times with 1 to 500 workers.

Measured on real stacks with the demo checkpoint: attempts, loading of the model, and their cost for Redis (CPU time,
memory, and writes, counted in its append-only file). Edits of two lengths separate the cost per edit from the cost per
second of work; stacks of one and of several idle workers give the cost per worker.
`redis-benchmark` (Debian: redis-tools) loads a server of the same configuration. The simulation draws its edits from
the measured ones, stretched to a mean of `--edit-seconds`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from redis import Redis
from rich.console import Console
from rich.table import Table

from benchmarks.scale.simulation import Outcome, Scenario, simulate
from cli.processes.embedded_redis import EmbeddedRedis
from cli.processes.stack import Stack
from cli.processes.supervisor import Supervised, stop_all
from jobs.connection import connect
from jobs.models import Models
from jobs.settings import Settings
from magedit.client import Client
from magedit.demo import demo_edit

WORKERS = (1, 5, 20, 50, 100, 200, 500)
LENGTHS = (4, 16)
"""Steps of the measured edits."""
IDLE_S = 20.0
IDLE_WORKERS = 4
CLIENTS = 50
EDIT_S = 10.0
SPARE = 0.5
"""Share of one Redis that the arrivals may take, so that bursts find room."""

COUNTS = ("refused", "killed", "failed", "lost")

SCENARIOS: dict[str, dict[str, Any]] = {
    "steady": {},
    "bursts": {"burst_factor": 5.0},
    "bursts, spot kills": {"burst_factor": 5.0, "kill_interval_s": 2 * 3600.0},
}


class Usage(NamedTuple):
    """Usage of a Redis server in some time, or per second: CPU seconds, and writes, each with its own fsync."""

    cpu_s: float
    writes: float

    def minus(self, other: Usage, times: float = 1.0) -> Usage:
        """The difference to ``times`` the other, not below zero."""
        return Usage(*(max(0.0, mine - times * its) for mine, its in zip(self, other, strict=True)))

    def over(self, count: float) -> Usage:
        """The mean over ``count``."""
        return Usage(*(each / count for each in self))


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Cost for Redis by its cause; bytes and seconds."""

    edit_s: list[float]
    load_s: float
    front_end: Usage
    """Per second of an idle front end and of the sweeps, which all reapers share."""
    worker: Usage
    """Per second of an idle worker."""
    edit: Usage
    """The part of an edit that does not depend on its length: submit, queue, claim, commit."""
    running: Usage
    """Per second of an edit's work, with one caller following it."""
    bytes_per_edit: float


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Throughput of a server of the same configuration under `redis-benchmark`, with 50 clients."""

    writes_per_s: float
    writes_per_cpu_s: float


def aof_writes(folder: Path) -> int:
    """Writes in the append-only files below ``folder``; a script or transaction counts as one."""
    found = 0
    for file in folder.rglob("*.aof"):
        inside = False
        with file.open("rb") as commands:
            # A snapshot at its start is not a command (redis.io/docs/reference/protocol-spec).
            while (head := commands.readline()).startswith(b"*"):
                words = []
                for _ in range(int(head[1:])):
                    words.append(commands.read(int(commands.readline()[1:]) + 2)[:-2])
                name = words[0].upper()
                if name == b"MULTI":
                    inside = True
                elif name == b"EXEC":
                    inside = False
                    found += 1
                elif not inside and name != b"SELECT":
                    found += 1
    return found


def line_through(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Value at zero and slope of the line through two points, neither below zero."""
    (x0, y0), (x1, y1) = points
    slope = max(0.0, (y1 - y0) / (x1 - x0))
    return max(0.0, y0 - slope * x0), slope


class Meter:
    """Reads a stack's Redis server."""

    def __init__(self, stack: Stack, redis: Redis) -> None:
        assert stack.redis is not None
        self._folder, self._redis = stack.redis.folder, redis

    def now(self) -> Usage:
        """Usage since the server started."""
        info = self._redis.info("cpu")
        return Usage(info["used_cpu_user"] + info["used_cpu_sys"], aof_writes(self._folder))

    def idle(self, seconds: float) -> Usage:
        """Usage per second of an idle stack."""
        before = self.now()
        time.sleep(seconds)
        return self.now().minus(before).over(seconds)

    def key_bytes(self) -> int:
        """Bytes of all keys, unlike the server's own figure without connection buffers."""
        return sum((self._redis.memory_usage(key) or 0) for key in self._redis.scan_iter(count=1000))


@contextmanager
def _stack(folder: Path, workers: int) -> Iterator[tuple[Stack, Meter]]:
    with Stack(Settings(state_dir=folder, api_port=0, device="cpu"), workers=workers, embedded=True) as stack:
        stack.wait_ready()
        assert stack.redis is not None
        with connect(Settings(redis_url=stack.redis.url)) as redis:
            while Models(redis).all()["demo"].workers < workers:
                time.sleep(0.1)
            yield stack, Meter(stack, redis)


def measure(
    folder: Path, edits: int, lengths: tuple[int, int] = LENGTHS, idle_s: float = IDLE_S, workers: int = IDLE_WORKERS
) -> Costs:
    """Costs on real stacks in ``folder``: one with ``workers`` idle workers, one with a worker and ``edits`` edits of
    each length."""
    picture, mask, prompts = _pictures(folder)
    with _stack(folder / "several", workers) as (_, meter):
        several = meter.idle(idle_s)
    began = time.monotonic()
    with _stack(folder / "one", 1) as (stack, meter), Client(stack.url) as client:
        load_s = time.monotonic() - began

        def run(steps: int) -> list[float]:
            running = []
            for seed in range(edits):
                submitted = client.submit(picture, [mask], **prompts, steps=steps, seed=seed)
                done = client.wait(submitted.id)
                if done.state != "succeeded" or done.timings.running_s is None:
                    raise RuntimeError(f"a measured edit {done.state}: {done.problem}")
                running.append(done.timings.running_s)
            return running

        run(lengths[0])  # connections, caches and the kept inversion
        one = meter.idle(idle_s)
        worker = several.minus(one).over(workers - 1)
        held, attempts, used = meter.key_bytes(), [], []
        for steps in lengths:
            before, at = meter.now(), time.monotonic()
            attempts.append(run(steps))
            used.append(meter.now().minus(before).minus(one, time.monotonic() - at).over(edits))
        bytes_per_edit = (meter.key_bytes() - held) / (edits * len(lengths))
    means = [statistics.mean(each) for each in attempts]
    cpu, writes = (line_through([(means[0], used[0][part]), (means[1], used[1][part])]) for part in (0, 1))
    return Costs(
        edit_s=attempts[-1],
        load_s=load_s,
        front_end=one.minus(worker),
        worker=worker,
        edit=Usage(cpu[0], writes[0]),
        running=Usage(cpu[1], writes[1]),
        bytes_per_edit=bytes_per_edit,
    )


def _pictures(folder: Path) -> tuple[Path, Path, dict[str, Any]]:
    edit = demo_edit()
    picture, mask = folder / "picture.png", folder / "mask.png"
    edit.image().save(picture)
    edit.mask().save(mask)
    return picture, mask, {"source_prompt": edit.source_prompt, "target_prompt": edit.target_prompt}


def benchmark_redis(folder: Path, requests: int) -> Capacity:
    """Load a server of the service's own configuration in ``folder`` with 100-byte writes."""
    program = shutil.which("redis-benchmark")
    if program is None:
        raise FileNotFoundError("redis-benchmark is not installed (Debian: apt-get install redis-tools)")
    embedded = EmbeddedRedis(folder)
    server = Supervised(embedded.program(), folder)
    try:
        while not embedded.answers():
            server.require_alive()
            time.sleep(0.05)
        with connect(Settings(redis_url=embedded.url)) as redis:
            before = redis.info("cpu")
            load = ("-t", "set", "-d", "100", "-c", str(CLIENTS), "-n", str(requests), "--csv")
            done = subprocess.run([program, "-s", embedded.socket, *load], capture_output=True, text=True, check=True)
            after = redis.info("cpu")
    finally:
        stop_all([server])
    row = next(line for line in done.stdout.splitlines() if line.startswith('"SET"'))
    cpu_s = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    return Capacity(writes_per_s=float(row.split(",")[1].strip('"')), writes_per_cpu_s=requests / cpu_s)


def stretched(edit_s: Sequence[float], mean_s: float) -> list[float]:
    """The same distribution with another mean."""
    factor = mean_s / statistics.mean(edit_s)
    return [each * factor for each in edit_s]


def share_of_redis(costs: Costs, capacity: Capacity, workers: int, rate: float, edit_s: float) -> Usage:
    """Load of ``workers`` workers and ``rate`` edits per second, of ``edit_s`` seconds each, on one Redis.

    As shares of its single thread and of its disk's write capacity.
    """
    parts = (
        (1.0, costs.front_end),
        (workers, costs.worker),
        (rate, costs.edit),
        (rate * edit_s, costs.running),
    )
    cpu_s, writes = (sum(times * usage[part] for times, usage in parts) for part in (0, 1))
    return Usage(cpu_s, writes / capacity.writes_per_s)


def bearable(costs: Costs, capacity: Capacity, edit_s: float, utilization: float) -> int:
    """Number of workers that load one Redis up to the allowed share."""
    workers = 0
    while max(share_of_redis(costs, capacity, workers + 1, (workers + 1) * utilization / edit_s, edit_s)) <= SPARE:
        workers += 1
    return workers


def run_all(
    costs: Costs, workers: Sequence[int], edit_s: float, seed: int, progress: Callable[[str], None] = lambda _: None
) -> list[tuple[Scenario, str, Outcome]]:
    """Every scenario with every number of workers."""
    found = []
    for number in workers:
        for name, more in SCENARIOS.items():
            progress(f"{number} workers, {name}")
            scenario = Scenario(
                workers=number,
                edit_s=stretched(costs.edit_s, edit_s),
                load_s=costs.load_s,
                # The default limits the queue of some 50 workers; a larger fleet sets its own.
                queue_limit=max(Settings().queue_limit, 20 * number),
                **more,
            )
            found.append((scenario, name, simulate(scenario, seed)))
    return found


def main() -> None:
    """Print the tables and, if asked, write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=20, help="measured edits of each length")
    parser.add_argument("--edit-seconds", type=float, default=EDIT_S, help="mean time of a simulated edit")
    parser.add_argument("--workers", type=int, nargs="+", default=list(WORKERS))
    parser.add_argument("--requests", type=int, default=100_000, help="of redis-benchmark")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    console = Console(width=110)
    with tempfile.TemporaryDirectory(prefix="magedit-") as folder:
        capacity = benchmark_redis(Path(folder) / "redis", asked.requests)
        costs = measure(Path(folder), asked.edits)
    console.print(
        f"redis-benchmark: {capacity.writes_per_s:,.0f} writes/s, each on the disk before it is answered; "
        f"{capacity.writes_per_cpu_s:,.0f} a CPU second\n"
        f"start of a stack until it is ready {costs.load_s:.1f} s, an edit {statistics.mean(costs.edit_s):.1f} s on "
        f"average; {costs.bytes_per_edit / 1024:.1f} KiB of Redis a finished edit"
    )
    measured = Table(title="cost for Redis")
    for column in ("", "CPU ms", "writes"):
        measured.add_column(column, justify="right")
    for name, usage in (
        ("front end and sweeps, per second", costs.front_end),
        ("an idle worker, per second", costs.worker),
        ("an edit", costs.edit),
        ("its work, per second", costs.running),
    ):
        measured.add_row(name, f"{usage.cpu_s * 1e3:.2f}", f"{usage.writes:.2f}")
    console.print(measured)
    edit_s = asked.edit_seconds
    table = Table(title=f"simulated: 4 hours, edits of {edit_s:g} s on average, 80 % of the workers' time asked for")
    for column in ("workers", "", "edits/s", "wait p50", "wait p99", "used", "line", *COUNTS, "Redis CPU", "disk"):
        table.add_column(column, justify="right")
    rows = run_all(costs, asked.workers, edit_s, asked.seed, lambda what: console.print(what, style="dim"))
    for scenario, name, outcome in rows:
        share = share_of_redis(costs, capacity, scenario.workers, scenario.rate, edit_s)
        waits = statistics.quantiles(outcome.waits_s, n=100)
        cells = (f"{scenario.rate:.2f}", f"{waits[49]:.1f} s", f"{waits[98]:.1f} s")
        used = outcome.busy_s / (scenario.workers * scenario.duration_s)
        counts = (outcome.longest_line, *(getattr(outcome, name) for name in COUNTS))
        shares = (f"{each:.1%}" for each in share)
        table.add_row(str(scenario.workers), name, *cells, f"{used:.0%}", *map(str, counts), *shares)
    console.print(table)
    limit = bearable(costs, capacity, edit_s, Scenario(workers=1, edit_s=[edit_s]).utilization)
    console.print(f"half of one Redis is taken by {limit} workers")
    if asked.json:
        figures = {"capacity": asdict(capacity), "costs": asdict(costs), "half of one Redis": limit}
        asked.json.write_text(json.dumps(figures, indent=1))
