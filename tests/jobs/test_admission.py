"""The look before an edit is taken in says what its acceptance would."""

from __future__ import annotations

import pytest

from jobs.admission import Room
from jobs.errors import JobError, QueueFull, TooManyUnfinished
from jobs.schema import MaskRecord, MaskRequest, new_id
from jobs.settings import Settings
from jobs.storage import image_key
from jobs.tenants.limits import Limits
from tests.jobs.conftest import Desk


@pytest.mark.parametrize(
    ("limit", "unfinished", "refusal"), [(2, 0, QueueFull), (10, 2, TooManyUnfinished), (2, 2, QueueFull)]
)
def test_api_and_records_reject_alike(settings: Settings, limit: int, unfinished: int, refusal: type[JobError]) -> None:
    desk = Desk(settings.model_copy(update={"queue_limit": limit}))
    room, limits = Room(desk.redis, desk.settings), Limits(unfinished=unfinished)
    for _ in range(2):
        room.require("local", limits)
        running = desk.submit()
    assert desk.records.claim(running.id, "worker-1")
    with pytest.raises(refusal) as looked:
        room.require("local", limits)
    with pytest.raises(refusal) as made:
        desk.records.create(desk.record(), limits=limits)
    assert looked.value.message == made.value.message
    desk.records.delete(running.id)
    room.require("local", limits)
    desk.close()


def test_masks_count_as_they_do_when_a_record_is_made(settings: Settings) -> None:
    desk = Desk(settings)
    room, limits = Room(desk.redis, desk.settings), Limits(unfinished=2)
    desk.submit()
    job_id = new_id()
    request = MaskRequest(model=settings.model, points=((1.0, 1.0, 1),))
    desk.records.create(
        MaskRecord(id=job_id, tenant="local", request=request, image=image_key("local", job_id)), limits=limits
    )
    with pytest.raises(TooManyUnfinished):
        room.require("local", limits)
    with pytest.raises(TooManyUnfinished):
        desk.records.create(desk.record(), limits=limits)
    desk.close()
