"""What a soak does: how many edits, which faults how often, and, drawn from one seed, in which order. Pure."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final


class Fault(StrEnum):
    """What can happen. `redis` and `storage` after the dash: to the connections with it, in the proxy;
    `away-workers`: all of them stop, and none comes for a while."""

    KILL_WORKER = "kill-worker"
    KILL_FRONT = "kill-front"
    KILL_REAPER = "kill-reaper"
    KILL_REDIS = "kill-redis"
    KILL_STORAGE = "kill-storage"
    STOP_WORKER = "stop-worker"
    TERM_WORKER = "term-worker"
    HANG_WORKER = "hang-worker"
    SEND_WORKERS_AWAY = "away-workers"
    CUT_REDIS = "cut-redis"
    REFUSE_REDIS = "refuse-redis"
    STALL_REDIS = "stall-redis"
    SLOW_REDIS = "slow-redis"
    CUT_STORAGE = "cut-storage"
    REFUSE_STORAGE = "refuse-storage"
    STALL_STORAGE = "stall-storage"
    SLOW_STORAGE = "slow-storage"
    FILL_STORAGE = "fill-storage"


ON_WORKER: Final = frozenset({Fault.KILL_WORKER, Fault.STOP_WORKER, Fault.TERM_WORKER, Fault.HANG_WORKER})

OUTAGES: Final = frozenset(Fault) - ON_WORKER - {Fault.KILL_FRONT, Fault.KILL_REAPER}
"""What disturbs every process: recovery times are not held against their bound meanwhile."""

# Shortest and longest time of a fault that lasts, in seconds; SIGSTOP's is in leases.
_LASTS: Final[dict[Fault, tuple[float, float]]] = {
    Fault.KILL_FRONT: (0.1, 1.0),
    Fault.KILL_REAPER: (0.1, 3.0),
    Fault.KILL_REDIS: (0.2, 3.0),
    Fault.KILL_STORAGE: (0.2, 3.0),
    Fault.STOP_WORKER: (1.3, 2.2),
    Fault.SEND_WORKERS_AWAY: (3.0, 8.0),
    Fault.REFUSE_REDIS: (0.5, 3.0),
    Fault.STALL_REDIS: (0.5, 4.0),
    Fault.SLOW_REDIS: (2.0, 5.0),
    Fault.REFUSE_STORAGE: (0.5, 3.0),
    Fault.STALL_STORAGE: (0.5, 4.0),
    Fault.SLOW_STORAGE: (2.0, 5.0),
    Fault.FILL_STORAGE: (1.0, 4.0),
}

# How often each fault happens in the whole soak.
FULL: Final[dict[str, int]] = {
    Fault.KILL_WORKER: 105,
    Fault.KILL_FRONT: 52,
    Fault.KILL_REAPER: 20,
    Fault.KILL_REDIS: 11,
    Fault.KILL_STORAGE: 8,
    Fault.STOP_WORKER: 22,
    Fault.TERM_WORKER: 10,
    Fault.HANG_WORKER: 3,
    Fault.SEND_WORKERS_AWAY: 6,
    Fault.CUT_REDIS: 8,
    Fault.REFUSE_REDIS: 4,
    Fault.STALL_REDIS: 4,
    Fault.SLOW_REDIS: 3,
    Fault.CUT_STORAGE: 6,
    Fault.REFUSE_STORAGE: 4,
    Fault.STALL_STORAGE: 4,
    Fault.SLOW_STORAGE: 3,
    Fault.FILL_STORAGE: 4,
}
SHORT: Final[dict[str, int]] = {**dict.fromkeys(Fault, 1), Fault.KILL_WORKER: 4, Fault.KILL_FRONT: 2}

CALM_KILLS = 2
"""So many of the workers' kills come last and in calm: recoveries that no outage excuses, whatever the seed."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One soak. Times in seconds; shares are 0..1."""

    seed: int = 1
    timed: bool = True
    """Whether promises of time are held; a machine with other work breaks them, none of those of order and count."""
    jobs: int = 1000
    """Edits to get accepted."""
    faults: dict[str, int] = field(default_factory=lambda: dict(FULL))
    workers: int = 3
    front_ends: int = 2
    max_open: int = 24
    """Unfinished edits at a time: enough that no worker is idle, few enough that the end is near."""
    cancel_share: float = 0.1
    pause_s: tuple[float, float] = (0.5, 10.0)
    """Shortest and longest pause between two faults."""
    lease_s: float = 8.0
    watchdog_s: float = 20.0
    """Longer than a worker is stopped: else it would end on waking up, not try to go on as a zombie."""
    recovery_s: float = 16.0
    """Longest time from a worker's death until what it held runs again, while Redis and storage serve: two leases."""
    limit_s: float = 3600.0
    """Longest time until the faults end; a soak that reaches it is incomplete, which is a failure."""
    drain_s: float = 120.0
    """Longest time for what is unfinished when the faults end."""
    result_ttl_s: float = 300.0
    """How long finished edits are kept: so short that most expire under fire."""
    orphan_age_s: float = 120.0
    orphan_interval_s: float = 20.0
    """Age of what counts as an orphan, pause between two searches."""

    def to_json(self) -> dict[str, Any]:
        """The plan for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """The plan that `to_json` gave."""
        return cls(**{**data, "pause_s": tuple(data["pause_s"])})


def short(seed: int = Plan.seed) -> Plan:
    """A few faults of each kind in two minutes, with times as short as a busy machine bears."""
    return Plan(
        seed=seed,
        jobs=30,
        faults=dict(SHORT),
        workers=2,
        max_open=12,
        pause_s=(0.1, 1.0),
        lease_s=6.0,
        watchdog_s=15.0,
        recovery_s=12.0,
        result_ttl_s=30.0,
        orphan_age_s=60.0,
        orphan_interval_s=5.0,
    )


@dataclass(frozen=True, kw_only=True)
class Event:
    """One fault: ``after_s`` seconds after the one before, ``lasts_s`` seconds long, on the process ``slot``."""

    number: int
    fault: Fault
    slot: int
    busy: bool
    """Whether to wait for a worker that holds an edit; the slot's own comes first."""
    after_s: float
    lasts_s: float
    calm: bool = False
    """Whether to wait until no other fault is felt."""


def schedule(plan: Plan) -> list[Event]:
    """Every fault of the plan in an order of its seed's; the same plan gives the same schedule."""
    rng = random.Random(plan.seed)
    faults = [Fault(name) for name, count in sorted(plan.faults.items()) for _ in range(count)]
    rng.shuffle(faults)
    kills = [number for number, fault in enumerate(faults) if fault is Fault.KILL_WORKER][-CALM_KILLS:]
    faults = [fault for number, fault in enumerate(faults) if number not in kills] + [Fault.KILL_WORKER] * len(kills)
    calm_from = len(faults) - len(kills)
    events = []
    for number, fault in enumerate(faults):
        lasts_s = rng.uniform(*_LASTS.get(fault, (0.0, 0.0)))
        events.append(
            Event(
                number=number,
                fault=fault,
                slot=rng.randrange(plan.workers if fault in ON_WORKER else plan.front_ends),
                busy=fault in ON_WORKER
                and (fault is not Fault.KILL_WORKER or rng.random() < 0.7 or number >= calm_from),
                after_s=rng.uniform(*plan.pause_s),
                lasts_s=lasts_s * (plan.lease_s if fault is Fault.STOP_WORKER else 1.0),
                calm=number >= calm_from,
            )
        )
    return events


def clock_skew_s(plan: Plan, start: int) -> float:
    """By how much the clock of the worker that is started as number ``start`` is wrong, in seconds."""
    return random.Random(f"{plan.seed} clock {start}").choice((0.0, 0.0, 0.0, 3600.0, -3600.0))
