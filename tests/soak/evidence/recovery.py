"""How soon what a killed worker held runs again, and how soon a hung worker is replaced. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.soak.evidence.aof import Life
from tests.soak.evidence.journal import Line, of
from tests.soak.plan import OUTAGES, Fault

AFTERMATH_S = 2.0
"""How long an outage is felt after its end, in seconds: back-off, one command's time limit."""

EXIT_RESTART = 75
"""Exit status of a worker whose watchdog ended it (`worker.heartbeat`)."""


@dataclass(frozen=True)
class Recovery:
    """One edit whose worker was killed at ``killed_at`` (Unix seconds) and that went on ``seconds`` later."""

    id: str
    killed_at: float
    seconds: float
    excused: bool
    """Whether Redis, storage or everything was away meanwhile, or it had to wait for others, having a low priority."""


def recoveries(lines: list[Line], lives: dict[str, Life], low: Container[str] = ()) -> list[Recovery]:
    """One for each edit that a killed worker held; ``low`` are the ids of low priority."""
    windows = outages(lines)
    claims = [
        (attempt, life.attempts[number + 1 :], life.finished_at, edit_id)
        for edit_id, life in lives.items()
        for number, attempt in enumerate(life.attempts)
    ]
    found = []
    for kill in of(lines, "fault"):
        if kill["fault"] != Fault.KILL_WORKER:
            continue
        for attempt, later, finished_at, edit_id in claims:
            if f"-{kill['pid']}-" not in attempt.worker or attempt.started_at > kill["t"]:
                continue
            ends = [later[0].started_at] if later else finished_at
            # What had been finished, or had begun elsewhere, by the time of the kill was not held.
            if ends and ends[0] > kill["t"]:
                excused = edit_id in low or any(begin < ends[0] and kill["t"] < end for begin, end in windows)
                found.append(Recovery(edit_id, kill["t"], ends[0] - kill["t"], excused))
    return found


def outages(lines: list[Line]) -> list[tuple[float, float]]:
    """Begin and end of each time in which Redis or storage did not serve everybody well, or nothing ran at all because
    the soak itself had been killed."""
    windows: list[tuple[float, float]] = []
    begun: dict[object, float] = {}
    before = lines[0]["t"] if lines else 0.0
    for line in lines:
        if line["what"] == "run":
            begun = {"restart": min([before, *begun.values()])}
        elif line["what"] == "up" and "restart" in begun:
            windows.append((begun.pop("restart"), line["t"] + AFTERMATH_S))
        elif line["what"] == "fault" and line["fault"] in OUTAGES:
            begun[line["number"]] = line["t"]
        elif line["what"] == "undone" and line["number"] in begun:
            windows.append((begun.pop(line["number"]), line["t"] + AFTERMATH_S))
        before = line["t"]
    return windows + [(begin, float("inf")) for begin in begun.values()]


def hangs(lines: list[Line]) -> list[float]:
    """Seconds from the hang of each worker (its gate closed while it held an edit) to its watchdog's end of it."""
    found = []
    for hang in of(lines, "hung"):
        ends = [line for line in of(lines, "death") if line["pid"] == hang["pid"] and line["t"] >= hang["t"]]
        if not ends:
            found.append(float("inf"))
        elif ends[0]["status"] == EXIT_RESTART:
            found.append(ends[0]["t"] - hang["t"])
        # Else another fault was faster.
    return found


def summary(seconds: Iterable[float]) -> dict[str, Any]:
    """Count, median and maximum."""
    values = sorted(seconds)
    if not values:
        return {"count": 0}
    return {"count": len(values), "median_s": round(median(values), 2), "max_s": round(values[-1], 2)}
