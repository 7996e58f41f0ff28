"""Outcomes of edits and of worker processes, waited for."""

from __future__ import annotations

from collections.abc import Callable

from rq.job import Job
from rq.registry import StartedJobRegistry

from jobs.queue import queue_name
from jobs.schema import JobRecord, State
from jobs.storage import attempt_prefix, job_prefix, sha256
from tests.conftest import PATIENCE_S, wait_until
from tests.jobs.desk import Desk, open_ids
from tests.worker.conftest import Process

Spawn = Callable[..., Process]


def ends(desk: Desk, record: JobRecord, timeout_s: float = PATIENCE_S) -> JobRecord:
    """The record when it is terminal, its objects checked against it."""
    wait_until(lambda: desk.get(record).state.is_terminal, timeout_s, f"end of {record.id}")
    done = desk.get(record)
    for stored in (*done.results, *done.artifacts):
        assert sha256(desk.store.get(stored.key)) == stored.sha256
        assert stored.key.startswith(attempt_prefix(done))
    assert (done.state is State.SUCCEEDED) == bool(done.results)
    assert record.id not in open_ids(desk.records)
    return done


def runs(desk: Desk, record: JobRecord) -> None:
    """Return when the edit reports its last step."""
    wait_until(lambda: (found := desk.get(record).progress) is not None and found.fraction == 1.0, what="progress")


def leaves_rq(desk: Desk, record: JobRecord) -> None:
    """Return when nothing of the edit is left in RQ."""
    wait_until(lambda: desk.queue.taken("demo") == set() and not Job.exists(record.id, connection=desk.redis))
    name = queue_name("demo", record.priority)
    wait_until(lambda: StartedJobRegistry(name, connection=desk.redis).get_job_ids(cleanup=False) == [])


def attempts(desk: Desk, record: JobRecord) -> set[str]:
    """The attempts that have objects in storage."""
    prefix = job_prefix(record.tenant, record.id)
    return {key.removeprefix(prefix).split("/")[0] for key in desk.store.keys(prefix)} - {"input"}
