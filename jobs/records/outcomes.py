"""Outcomes of reading and changing records, and the problems of jobs that end without a worker."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from jobs.schema import AnyRecord, Priority, Problem

_TITLE = "The edit could not be carried out"
WORKER_LOST = Problem(
    title=_TITLE,
    status=500,
    detail="Every worker that began this edit died before finishing it.",
    code="worker_lost",
)
OVERDUE = Problem(
    title=_TITLE,
    status=504,
    detail="No worker could begin this edit before its deadline.",
    code="deadline",
)
ENDED_BY_REDIS = (WORKER_LOST, OVERDUE)
"""Problems of edits that failed without a worker."""


class Hold(StrEnum):
    """Outcome of renewing a claim."""

    KEPT = "kept"
    CANCEL = "cancel"
    LOST = "lost"


class Page(NamedTuple):
    """Records, newest first, and the cursor of the next page (None: this is the last)."""

    records: tuple[AnyRecord, ...]
    cursor: str | None


class Place(NamedTuple):
    """An edit's queue and number of attempts: enough to requeue it, whichever version wrote the rest of its record."""

    id: str
    model: str
    priority: Priority
    attempt: int


class Expired(NamedTuple):
    """An edit past its expiry. ``tenant`` None: nothing is left of it but its entry in a list."""

    id: str
    tenant: str | None
