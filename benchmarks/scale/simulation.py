"""Discrete-event simulation of one model's queue: arrivals in bursts, workers that load, work and are killed.

It follows the service's rules: first come, first served; a killed worker's edit is requeued at the front after its
lease and one sweep; after too many deaths it fails; a full queue refuses.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Parameters of a simulation; times in seconds."""

    workers: int
    edit_s: Sequence[float]
    """Measured times of attempts, drawn from at random."""
    utilization: float = 0.8
    """Mean utilization of the workers by the arrivals."""
    duration_s: float = 4 * 3600.0
    burst_factor: float = 1.0
    """Arrival rate in a burst over the quiet rate; the mean rate stays."""
    burst_s: float = 60.0
    burst_period_s: float = 900.0
    kill_interval_s: float | None = None
    """Mean time until a worker's machine is taken away; None: never."""
    restart_s: float = 60.0
    """Time until a replacement machine is up, without loading the model."""
    load_s: float = 10.0
    lease_s: float = 15.0
    sweep_s: float = 1.0
    max_attempts: int = 3
    queue_limit: int = 1000

    @property
    def mean_edit_s(self) -> float:
        """Mean time of an attempt."""
        return sum(self.edit_s) / len(self.edit_s)

    @property
    def rate(self) -> float:
        """Mean arrivals per second."""
        return self.utilization * self.workers / self.mean_edit_s


@dataclass
class Outcome:
    """Outcome of a simulation: each arrival is refused, succeeded or failed."""

    arrived: int = 0
    refused: int = 0
    succeeded: int = 0
    failed: int = 0
    killed: int = 0
    """Attempts that ended with their worker."""
    waits_s: list[float] = field(default_factory=list)
    """Time from acceptance to the start of the attempt that succeeded."""
    busy_s: float = 0.0
    """Durations of attempts that succeeded."""
    longest_line: int = 0

    @property
    def lost(self) -> int:
        """Accepted edits without an end."""
        return self.arrived - self.refused - self.succeeded - self.failed


class _Event(Enum):
    ARRIVE = auto()
    DONE = auto()
    KILL = auto()
    READY = auto()
    RETURN = auto()


@dataclass
class _Edit:
    arrived_at: float
    attempts: int = 0


@dataclass
class _Worker:
    life: int = 0
    """Number of its machine: events planned for an earlier machine are void."""
    edit: _Edit | None = None
    began: float = 0.0


def arrivals(scenario: Scenario, rng: random.Random) -> Iterator[float]:
    """Times of a Poisson process whose rate is higher at the start of each burst period."""
    share = scenario.burst_s / scenario.burst_period_s
    quiet = scenario.rate / (1 - share + share * scenario.burst_factor)
    peak = quiet * max(1.0, scenario.burst_factor)
    now = 0.0
    while (now := now + rng.expovariate(peak)) < scenario.duration_s:
        rate = quiet * scenario.burst_factor if now % scenario.burst_period_s < scenario.burst_s else quiet
        if rng.random() * peak < rate:
            yield now


def simulate(scenario: Scenario, seed: int = 0) -> Outcome:
    """Run until every accepted edit has ended; machines are taken away only while edits arrive."""
    rng, outcome, order = random.Random(seed), Outcome(), count()
    events: list[tuple[float, int, _Event, tuple[object, ...]]] = []
    line: deque[_Edit] = deque()
    workers = [_Worker() for _ in range(scenario.workers)]
    idle = list(workers)
    unfinished = 0

    def plan(at: float, event: _Event, *about: object) -> None:
        heapq.heappush(events, (at, next(order), event, about))

    def live(worker: _Worker, now: float) -> None:
        if scenario.kill_interval_s is not None:
            plan(now + rng.expovariate(1 / scenario.kill_interval_s), _Event.KILL, worker, worker.life)

    def work(now: float) -> None:
        nonlocal unfinished
        while line and idle:
            edit = line.popleft()
            if edit.attempts >= scenario.max_attempts:
                outcome.failed += 1
                unfinished -= 1
                continue
            worker = idle.pop()
            edit.attempts += 1
            worker.edit, worker.began = edit, now
            plan(now + rng.choice(scenario.edit_s), _Event.DONE, worker, worker.life)

    coming = arrivals(scenario, rng)
    for worker in workers:
        live(worker, 0.0)
    if (first := next(coming, None)) is not None:
        plan(first, _Event.ARRIVE)
    while events:
        now, _, event, about = heapq.heappop(events)
        if event is _Event.ARRIVE:
            outcome.arrived += 1
            if unfinished >= scenario.queue_limit:
                outcome.refused += 1
            else:
                unfinished += 1
                line.append(_Edit(now))
            if (following := next(coming, None)) is not None:
                plan(following, _Event.ARRIVE)
        elif event is _Event.RETURN:
            (edit,) = about
            assert isinstance(edit, _Edit)
            line.appendleft(edit)
        else:
            of, life = about
            assert isinstance(of, _Worker)
            worker = of
            if worker.life != life:
                continue
            if event is _Event.READY:
                idle.append(worker)
            elif event is _Event.DONE:
                assert worker.edit is not None
                outcome.succeeded += 1
                unfinished -= 1
                outcome.waits_s.append(worker.began - worker.edit.arrived_at)
                outcome.busy_s += now - worker.began
                worker.edit = None
                idle.append(worker)
            elif now < scenario.duration_s:
                worker.life += 1
                if worker.edit is not None:
                    outcome.killed += 1
                    # The rest of the lease, renewed a moment ago, and the time until the next sweep.
                    left_s = scenario.lease_s * (1 - rng.random() / 3) + scenario.sweep_s * rng.random()
                    plan(now + left_s, _Event.RETURN, worker.edit)
                    worker.edit = None
                elif worker in idle:
                    idle.remove(worker)
                plan(now + scenario.restart_s + scenario.load_s, _Event.READY, worker, worker.life)
                live(worker, now + scenario.restart_s + scenario.load_s)
        work(now)
        outcome.longest_line = max(outcome.longest_line, len(line))
    return outcome
