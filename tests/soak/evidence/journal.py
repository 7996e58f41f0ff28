"""What a soak did and saw, one JSON object a line, appended; it survives the soak's own death.

Every line has ``what`` and ``t`` (Unix seconds). What a promise of the service depends on is on the disk before the
soak goes on (fsync).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]

# Lines that must not be lost, should the machine itself die.
DURABLE = frozenset({"run", "accepted", "cancel", "fault", "undone"})


class Journal:
    """Appends lines. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._file = path.open("ab")
        if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            # Half a line of a soak that was killed: it must not run into the first line of this one.
            self._file.write(b"\n")

    def write(self, what: str, **fields: object) -> Line:
        """Append one line and return it; ``t`` may be given."""
        line = {"what": what, "t": time.time(), **fields}
        with self._lock:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
            if what in DURABLE:
                os.fsync(self._file.fileno())
        return line

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> list[Line]:
    """Every whole line."""
    return list(_lines(path)) if path.exists() else []


def _lines(path: Path) -> Iterator[Line]:
    for text in path.read_bytes().split(b"\n"):
        try:
            yield json.loads(text)
        except ValueError:
            continue  # empty, or torn when its writer was killed


def of(lines: list[Line], *kinds: str) -> list[Line]:
    """The lines of these kinds, in order."""
    return [line for line in lines if line["what"] in kinds]
