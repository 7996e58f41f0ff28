"""Front ends that SIGKILL themselves: `python -m tests.service.edits.dying PORT CLASS.METHOD before|after ...`.

One for every three arguments, each a fork of one process that has loaded everything: starting is most of their cost.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from jobs.queue import JobQueue
from jobs.records.idempotency import IdempotencyKeys
from jobs.records.store import Records
from jobs.storage import ObjectStore
from service.__main__ import main

OWNERS: dict[str, type] = {each.__name__: each for each in (IdempotencyKeys, JobQueue, Records, ObjectStore)}


def arm(place: str, when: str) -> None:
    """Make the first call of a method the last thing that this process does."""
    owner, method = place.split(".")
    original = getattr(OWNERS[owner], method)

    def deadly(*args: Any, **options: Any) -> None:
        if when == "after":
            original(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(OWNERS[owner], method, deadly)


def fork(arguments: list[str]) -> None:
    """Start them all, and end when they have."""
    for port, place, when in zip(arguments[::3], arguments[1::3], arguments[2::3], strict=True):
        if os.fork() == 0:
            os.environ["MAGEDIT_API_PORT"] = port
            arm(place, when)
            main()
            os._exit(0)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    fork(sys.argv[1:])
