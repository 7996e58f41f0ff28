"""Carries the faults out, one after the other; those that last overlap with the next ones."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import cast

from redis import Redis, RedisError

from jobs import keys
from tests.soak.evidence.journal import Journal
from tests.soak.evidence.recovery import AFTERMATH_S
from tests.soak.plan import Event, Fault
from tests.soak.stack.fleet import Fleet, Process
from tests.soak.stack.proxy import Mode, Proxy

PATIENCE_S = 6.0
"""How long a fault waits for its worker to be in the state that it wants, in seconds."""


class Nemesis:
    """Works off a schedule when its `tick` is called often, in the thread that started the fleet."""

    def __init__(self, events: list[Event], fleet: Fleet, journal: Journal) -> None:
        self._events = list(reversed(events))
        self._fleet, self._journal = fleet, journal
        self._redis = Redis.from_url(fleet.embedded.url, socket_timeout=1.0)
        self._undo: list[tuple[float, Event, Callable[[], None]]] = []
        self._hanging: dict[int, int] = {}
        self._calm_since = time.monotonic()
        self._due = time.monotonic()
        self._plan_next()

    @property
    def left(self) -> int:
        """Faults still to come."""
        return len(self._events)

    @property
    def waits_for_calm(self) -> bool:
        """Whether only those faults are left that meet edits in calm."""
        return bool(self._events) and self._events[-1].calm

    @property
    def lasting(self) -> int:
        """Faults that go on."""
        return len(self._undo)

    def _plan_next(self) -> None:
        if self._events:
            self._due = time.monotonic() + self._events[-1].after_s

    def tick(self, ready: bool = True) -> None:
        """End what is over; begin the next fault if it is due (and ``ready``: the load has kept up)."""
        now = time.monotonic()
        self._note_hung()
        for item in [item for item in self._undo if item[0] <= now]:
            self._undo.remove(item)
            self._end(item[1], item[2])
        if not self._events or not ready or now < self._due:
            return
        event = self._events[-1]
        if event.calm and (self._undo or now - self._calm_since < AFTERMATH_S):
            return
        if not self._begin(event, patient=event.calm or now < self._due + PATIENCE_S):
            return
        self._events.pop()
        self._plan_next()

    def calm(self) -> None:
        """End every fault that goes on."""
        for _, event, undo in self._undo:
            self._end(event, undo)
        self._undo = []

    def _end(self, event: Event, undo: Callable[[], None]) -> None:
        undo()
        self._calm_since = time.monotonic()
        self._journal.write("undone", number=event.number, fault=event.fault)

    def _begin(self, event: Event, patient: bool) -> bool:
        """Carry the fault out; False: not yet."""
        target, _, kind = event.fault.partition("-")
        if kind == "worker":
            return self._worker(event, patient)
        fleet = self._fleet
        undo: Callable[[], None] | None = None
        process: Process | None = None
        if kind == "workers":
            self._note(event, event.slot, 0)
            fleet.send_workers_away(event.lasts_s)
            self._undo.append((time.monotonic() + event.lasts_s, event, _nothing))
            return True
        if target == "kill":
            process = {
                "front": fleet.fronts[event.slot],
                "reaper": fleet.reaper,
                "redis": fleet.redis,
                "storage": fleet.storage,
            }[kind]
            if not process.pid:
                return False
        elif target == "fill" and not fleet.disk.can_be_full:
            # What does nothing is no fault, and is not counted as one.
            self._journal.write("skipped", number=event.number, fault=event.fault)
            return True
        elif target != "fill":
            proxy = fleet.redis_proxy if kind == "redis" else fleet.storage_proxy
        self._note(event, event.slot, process.pid if process else 0)
        if process is not None:
            process.kill(event.lasts_s)
            undo = _nothing
        elif target == "fill":
            fleet.disk.fill()
            undo = fleet.disk.free
        elif target == "cut":
            proxy.cut()
            undo = _nothing
        else:
            proxy.set(Mode(target))
            undo = partial(_calm, proxy)
        self._undo.append((time.monotonic() + event.lasts_s, event, undo))
        return True

    def _worker(self, event: Event, patient: bool) -> bool:
        slot = self._victim(event, patient)
        if slot is None:
            return False
        pid = self._fleet.workers.pids[slot]
        if event.fault is Fault.HANG_WORKER:
            self._note(event, slot, pid)
            self._fleet.workers.gate(slot).touch()
            self._hanging[slot] = pid
            return True
        number = {
            Fault.KILL_WORKER: signal.SIGKILL,
            Fault.STOP_WORKER: signal.SIGSTOP,
            Fault.TERM_WORKER: signal.SIGTERM,
        }[event.fault]
        if event.calm and not self._freeze(slot, pid):
            return False
        self._note(event, slot, pid)
        self._fleet.workers.send(slot, number)
        if number is signal.SIGSTOP:
            undo = partial(self._wake, slot, pid)
            self._undo.append((time.monotonic() + event.lasts_s, event, undo))
        return True

    def _freeze(self, slot: int, pid: int) -> bool:
        """Stop a worker that is to die with an edit in hand; False, and it goes on, if it was just done with it."""
        self._fleet.workers.send(slot, signal.SIGSTOP)
        if not (held := self._holds(pid, low=False)):
            self._fleet.workers.send(slot, signal.SIGCONT)
        return held

    def _wake(self, slot: int, pid: int) -> None:
        if self._fleet.workers.pids[slot] == pid:
            self._fleet.workers.send(slot, signal.SIGCONT)

    def _victim(self, event: Event, patient: bool) -> int | None:
        """The slot of the worker that the fault meets: the event's own, or the next one that is as it should be."""
        pids = self._fleet.workers.pids
        slots = [(event.slot + each) % len(pids) for each in range(len(pids))]
        # A hung worker is left to its watchdog.
        alive = [slot for slot in slots if pids[slot] and self._hanging.get(slot) != pids[slot]]
        if event.busy and patient:
            alive = [slot for slot in alive if self._holds(pids[slot], low=not event.calm)]
        return alive[0] if alive else None

    def _note_hung(self) -> None:
        """Journal since when a worker hangs: since it began an edit behind its closed gate."""
        for slot, pid in list(self._hanging.items()):
            mark = self._fleet.workers.gate(slot).with_suffix(".hung")
            if self._fleet.workers.pids[slot] != pid:
                del self._hanging[slot]
            elif mark.exists():
                self._journal.write("hung", t=mark.stat().st_mtime, slot=slot, pid=pid)
                mark.unlink()

    def _holds(self, pid: int, *, low: bool) -> bool:
        """Whether the worker has an edit in hand; one of low priority (which waits for others) counts if ``low``."""
        try:
            leases = cast("list[bytes]", list(self._redis.scan_iter(keys.LEASE + "*", count=1000)))
            names = cast("list[bytes | None]", self._redis.mget(leases) if leases else [])
            for lease, name in zip(leases, names, strict=True):
                if f"-{pid}-".encode() in (name or b""):
                    request = self._redis.hget(keys.EDIT + lease.decode().removeprefix(keys.LEASE), "request")
                    return low or json.loads(cast("bytes", request))["priority"] != "low"
        except RedisError:
            return False
        return False

    def _note(self, event: Event, slot: int, pid: int) -> None:
        self._journal.write("fault", number=event.number, fault=event.fault, slot=slot, pid=pid)


def _nothing() -> None:
    """What ends by itself: the process is started again, the next connection comes through."""


def _calm(proxy: Proxy) -> None:
    proxy.set(Mode.PASS)
