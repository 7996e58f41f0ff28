"""Every change that Redis ever made to a record, read from its append-only file.

The file holds the effects of all scripts in their order, across every kill and restart, as long as it is not
rewritten (the soak turns that off): a second commit cannot hide from it, as it could from polling or from MONITOR,
which breaks with the connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from jobs import keys
from jobs.schema import State


@dataclass
class Attempt:
    """One start of an edit, by the clock of Redis."""

    number: int
    worker: str
    started_at: float


@dataclass
class Life:
    """What happened to one record, in order."""

    states: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    committed: int = 0
    """How often results were written."""
    finished_at: list[float] = field(default_factory=list)
    removed: int = 0

    @property
    def ends(self) -> int:
        """How often it became terminal."""
        return sum(State(state).is_terminal for state in self.states)


def commands(file: BinaryIO) -> Iterator[list[bytes]]:
    """The commands of an append-only file (RESP arrays), up to a torn last one. Annotations (`#`) are skipped."""
    while head := file.readline():
        if not head.startswith((b"*", b"#")):
            raise ValueError(f"{head[:20]!r} is no RESP array: was the append-only file rewritten?")
        if not head.endswith(b"\n"):
            return
        if head.startswith(b"#"):
            continue
        parts = [_bulk(file) for _ in range(int(head[1:]))]
        if None in parts:
            return
        yield [part for part in parts if part is not None]


def _bulk(file: BinaryIO) -> bytes | None:
    head = file.readline()
    if not head.endswith(b"\n"):
        return None
    size = int(head[1:])
    data = file.read(size + 2)
    return data[:size] if len(data) == size + 2 else None


def files(folder: Path) -> list[Path]:
    """The append-only files in Redis' folder: one before Redis 7, its increments from then on."""
    single = folder / "appendonly.aof"
    if single.is_file():
        return [single]
    return sorted(folder.glob("appendonlydir/*.incr.aof"), key=lambda file: int(file.name.split(".")[-3]))


def lives(history: Iterable[list[bytes]]) -> dict[str, Life]:
    """The life of every record that these commands made."""
    found: dict[str, Life] = {}
    prefix = keys.EDIT.encode()
    for name, *args in history:
        command = name.upper()
        if command in {b"DEL", b"UNLINK"}:
            for key in args:
                if key.startswith(prefix):
                    found[key[len(prefix) :].decode()].removed += 1
        elif args and args[0].startswith(prefix) and command in {b"HSET", b"HMSET", b"HINCRBY"}:
            fields = {key.decode(): value.decode() for key, value in zip(args[1::2], args[2::2], strict=True)}
            _apply(found.setdefault(args[0][len(prefix) :].decode(), Life()), fields)
    return found


def _apply(life: Life, fields: dict[str, str]) -> None:
    born = not life.states
    if "state" in fields:
        life.states.append(fields["state"])
    if "results" in fields and not born:
        life.committed += 1
    if "started_at" in fields and not born:
        life.attempts.append(Attempt(len(life.attempts) + 1, fields["worker"], float(fields["started_at"])))
    if "finished_at" in fields:
        life.finished_at.append(float(fields["finished_at"]))


def read(folder: Path) -> dict[str, Life]:
    """The life of every record in Redis' folder."""

    def history() -> Iterator[list[bytes]]:
        for path in files(folder):
            with path.open("rb") as file:
                yield from commands(file)

    return lives(history())
