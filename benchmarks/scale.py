"""How the service scales: what one Redis bears, measured, and the waiting of 1 to 500 workers, simulated.

Measured here, on a real stack with the demo checkpoint: attempts, the load of the model, and what an edit and a worker
cost Redis (commands, the server's CPU time, memory), for edits of two lengths, so that what belongs to an edit and what
to each second of its work can be told apart. `redis-benchmark` (Debian: redis-tools) loads a server of the same
configuration. The simulation draws its edits from the measured ones, stretched to a mean of `--edit-seconds`.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from rich.console import Console
from rich.table import Table

from benchmarks.queue_simulation import Outcome, Scenario, simulate
from cli.embedded_redis import EmbeddedRedis
from cli.stack import Stack
from cli.supervisor import Supervised, stop_all
from jobs.connection import connect
from jobs.settings import Settings
from magedit.client import Client
from magedit.demo import demo_edit

WORKERS = (1, 5, 20, 50, 100, 200, 500)
LENGTHS = (4, 16)
"""Steps of the measured edits."""
IDLE_S = 20.0
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


@dataclass(frozen=True)
class Reading:
    """What a Redis server has done up to now."""

    commands: int
    cpu_s: float
    at: float

    @classmethod
    def of(cls, redis: Redis) -> Reading:
        """As the server tells; what asking costs is in it."""
        info = redis.info()
        cpu_s = info["used_cpu_user"] + info["used_cpu_sys"]
        return cls(info["total_commands_processed"], cpu_s, time.monotonic())


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What an edit, a second of its work and an idle stack of one worker cost Redis; bytes and seconds."""

    edit_s: list[float]
    load_s: float
    commands_per_edit: float
    commands_per_running_s: float
    commands_per_idle_s: float
    cpu_s_per_edit: float
    cpu_s_per_running_s: float
    cpu_s_per_idle_s: float
    bytes_per_edit: float


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What a server of the same configuration does for `redis-benchmark`, a command a round trip."""

    requests_per_s: float
    requests_per_cpu_s: float


def line_through(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Value at zero and slope of the line through two points, neither below zero."""
    (x0, y0), (x1, y1) = points
    slope = max(0.0, (y1 - y0) / (x1 - x0))
    return max(0.0, y0 - slope * x0), slope


def measure(folder: Path, edits: int, lengths: tuple[int, int] = LENGTHS, idle_s: float = IDLE_S) -> Costs:
    """Costs on a real stack of one worker, in ``folder``, by ``edits`` edits of each length."""
    picture, mask, prompts = _pictures(folder)
    began = time.monotonic()
    settings = Settings(state_dir=folder / "state", api_port=0, device="cpu")
    with Stack(settings, workers=1, embedded=True) as stack:
        stack.wait_ready()
        load_s = time.monotonic() - began
        assert stack.redis is not None
        with connect(Settings(redis_url=stack.redis.url)) as redis, Client(stack.url) as client:

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
            before = Reading.of(redis)
            time.sleep(idle_s)
            after = Reading.of(redis)
            idle = (after.commands - before.commands) / idle_s, (after.cpu_s - before.cpu_s) / idle_s
            memory = _memory(redis)
            attempts: list[list[float]] = []
            points: list[tuple[tuple[float, float], tuple[float, float]]] = []
            for steps in lengths:
                before = Reading.of(redis)
                attempts.append(run(steps))
                after = Reading.of(redis)
                wall_s, mean_s = after.at - before.at, statistics.mean(attempts[-1])
                commands = (after.commands - before.commands - idle[0] * wall_s) / edits
                cpu_s = (after.cpu_s - before.cpu_s - idle[1] * wall_s) / edits
                points.append(((mean_s, commands), (mean_s, cpu_s)))
            bytes_per_edit = (_memory(redis) - memory) / (edits * len(lengths))
    commands_at_zero, commands_slope = line_through([point[0] for point in points])
    cpu_at_zero, cpu_slope = line_through([point[1] for point in points])
    return Costs(
        edit_s=attempts[-1],
        load_s=load_s,
        commands_per_edit=commands_at_zero,
        commands_per_running_s=commands_slope,
        commands_per_idle_s=idle[0],
        cpu_s_per_edit=cpu_at_zero,
        cpu_s_per_running_s=cpu_slope,
        cpu_s_per_idle_s=idle[1],
        bytes_per_edit=bytes_per_edit,
    )


def _memory(redis: Redis) -> int:
    """Of all keys; the server's own figure has its connections' buffers in it."""
    return sum((redis.memory_usage(key) or 0) for key in redis.scan_iter(count=1000))


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
        raise FileNotFoundError("there is no redis-benchmark: install it (Debian: apt-get install redis-tools)")
    embedded = EmbeddedRedis(folder)
    server = Supervised(embedded.program(), folder)
    try:
        while not embedded.answers():
            server.require_alive()
            time.sleep(0.05)
        with connect(Settings(redis_url=embedded.url)) as redis:
            before = Reading.of(redis)
            load = ("-t", "set", "-d", "100", "-c", str(CLIENTS), "-n", str(requests), "--csv")
            done = subprocess.run([program, "-s", embedded.socket, *load], capture_output=True, text=True, check=True)
            after = Reading.of(redis)
    finally:
        stop_all([server])
    row = next(line for line in done.stdout.splitlines() if line.startswith('"SET"'))
    return Capacity(
        requests_per_s=float(row.split(",")[1].strip('"')),
        requests_per_cpu_s=(after.commands - before.commands) / (after.cpu_s - before.cpu_s),
    )


def stretched(edit_s: Sequence[float], mean_s: float) -> list[float]:
    """The same distribution with another mean."""
    factor = mean_s / statistics.mean(edit_s)
    return [each * factor for each in edit_s]


def share_of_redis(costs: Costs, capacity: Capacity, workers: int, rate: float, edit_s: float) -> float:
    """What ``rate`` edits a second of ``edit_s`` seconds each take of one Redis, by the larger of commands and CPU."""
    commands = workers * costs.commands_per_idle_s + rate * (
        costs.commands_per_edit + edit_s * costs.commands_per_running_s
    )
    cpu_s = workers * costs.cpu_s_per_idle_s + rate * (costs.cpu_s_per_edit + edit_s * costs.cpu_s_per_running_s)
    return max(commands / capacity.requests_per_s, cpu_s)


def bearable(costs: Costs, capacity: Capacity, edit_s: float, utilization: float) -> int:
    """How many workers fill the part of one Redis that they may."""
    each = share_of_redis(costs, capacity, 1, utilization / edit_s, edit_s)
    return math.floor(SPARE / each)


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
                # The default bounds the line of some 50 workers; a larger fleet sets its own.
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
    measured = Table(title="measured on one Redis, every write on the disk", show_header=False)
    for name, value in {**asdict(capacity), **{k: v for k, v in asdict(costs).items() if k != "edit_s"}}.items():
        measured.add_row(name.replace("_", " "), f"{value:,.4g}")
    measured.add_row("mean measured edit", f"{statistics.mean(costs.edit_s):.2f} s")
    console.print(measured)
    edit_s = asked.edit_seconds
    table = Table(title=f"simulated: 4 hours, edits of {edit_s:g} s on average, 80 % of the workers' time asked for")
    for column in (
        "workers",
        "",
        "edits/s",
        "wait p50",
        "wait p99",
        "used",
        "line",
        "refused",
        "killed",
        "failed",
        "lost",
    ):
        table.add_column(column, justify="right")
    table.add_column("of one Redis", justify="right")
    rows = run_all(costs, asked.workers, edit_s, asked.seed, lambda what: console.print(what, style="dim", end="\r"))
    for scenario, name, outcome in rows:
        share = share_of_redis(costs, capacity, scenario.workers, scenario.rate, edit_s)
        waits = statistics.quantiles(outcome.waits_s, n=100)
        cells = (f"{scenario.rate:.2f}", f"{waits[49]:.1f} s", f"{waits[98]:.1f} s")
        used = outcome.busy_s / (scenario.workers * scenario.duration_s)
        counts = (outcome.longest_line, *(getattr(outcome, name) for name in COUNTS))
        table.add_row(str(scenario.workers), name, *cells, f"{used:.0%}", *map(str, counts), f"{share:.1%}")
    console.print(table)
    limit = bearable(costs, capacity, edit_s, Scenario(workers=1, edit_s=[edit_s]).utilization)
    console.print(f"half of one Redis is taken by {limit} workers")
    if asked.json:
        figures = {"capacity": asdict(capacity), "costs": asdict(costs), "half of one Redis": limit}
        asked.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
