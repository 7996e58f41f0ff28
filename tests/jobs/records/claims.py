"""A claimed record, and outcomes to commit."""

from __future__ import annotations

from jobs.schema import JobRecord, Problem, StoredObject
from magedit.measures.report import EditMeasures, Progress, Ratios, Stage
from tests.jobs.conftest import Desk

PROBLEM = Problem(title="t", status=500, detail="d", code="c")


RESULT = StoredObject(name="r.png", key="k", content_type="image/png", size=1, sha256="00", width=2, height=3)


MEASURES = EditMeasures(
    before=(Ratios(token=0.1, spatial=0.2),), words=(("green", "sofa"),), stage_seconds={"edit": 1.5}, crop=(1, 2, 3, 4)
)


HALF = Progress(stage=Stage.EDIT, step=2, steps=4, fraction=0.5)


def claimed(desk: Desk, worker: str = "w1") -> JobRecord:
    """An edit taken out of the line and claimed, as a worker does it."""
    record = desk.submit()
    queue = desk.queue.rq("demo")
    desk.redis.lmove(queue.key, queue.intermediate_queue_key)
    claim = desk.records.claim(record.id, worker)
    assert claim is not None
    return claim
