"""The job side of a service for tests: every part of `jobs` on one Redis server and one store."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, cast

import pytest
from PIL import Image

from jobs import keys
from jobs.connection import connect
from jobs.models import Models
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.schema import EditRequest, JobRecord, State, new_id
from jobs.settings import Settings
from jobs.storage import ObjectStore, image_key, mask_key
from magedit.config import EditConfig, Region

SIZE = (48, 40)
"""Width and height of the test picture in pixels."""

BOX = (8, 8, 24, 24)
"""What its mask selects (left, top, right, bottom)."""

FIELDS = frozenset({"webhook_url", "request_id", "traceparent"})


def open_ids(records: Records) -> set[str]:
    """The ids of the edits that are not finished."""
    return {job_id.decode() for job_id in cast("set[bytes]", records.redis.smembers(keys.OPEN))}


class Desk:
    """Submits edits as the front end does and looks at them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.redis = connect(settings)
        self.records = Records(self.redis, settings)
        self.queue = JobQueue(self.redis, self.records)
        self.models = Models(self.redis)
        self.store = ObjectStore.from_settings(settings)

    def record(self, target: str = "paint", tenant: str = "local", **request: Any) -> JobRecord:
        """A record that is not kept anywhere yet; `FIELDS` are its own, all others its request's."""
        job_id, own = new_id(), {name: request.pop(name) for name in FIELDS & set(request)}
        request = {
            "model": self.settings.model,
            "source_prompt": "a room",
            "target_prompt": target,
            "regions": (Region(words=(target,)),),
            "config": EditConfig(steps=4),
            **request,
        }
        return JobRecord(
            id=job_id,
            tenant=tenant,
            request=EditRequest(**request),
            image=image_key(tenant, job_id),
            masks=(mask_key(tenant, job_id, 0),),
            **own,
        )

    def submit(self, target: str = "paint", **request: Any) -> JobRecord:
        """Inputs to storage, record, queue: an accepted edit."""
        record = self.record(target, **request)
        mask = Image.new("L", SIZE)
        mask.paste(255, BOX)
        self.store.put(record.image, png(Image.new("RGB", SIZE, "white")), "image/png")
        self.store.put(record.masks[0], png(mask), "image/png")
        record = self.records.create(record)
        self.queue.enqueue(record)
        return record

    def get(self, record: JobRecord) -> JobRecord:
        """The record as it is now."""
        return self.records.require(record.id, record.tenant)

    def is_in(self, record: JobRecord, *states: State) -> bool:
        """Whether the edit is in one of these states now."""
        return self.get(record).state in states

    def cancel(self, target: str = "paint", **request: Any) -> JobRecord:
        """An edit that has ended, in the simplest way."""
        record = self.submit(target, **request)
        self.records.request_cancel(record.id)
        return self.get(record)

    def line(self) -> list[str]:
        """The ids in line, the next one first."""
        ids = cast("list[bytes]", self.redis.lrange(self.queue.rq(self.settings.model).key, 0, -1))
        return [job_id.decode() for job_id in ids]

    def close(self) -> None:
        """Give back the connections."""
        self.redis.close()


def pass_deadline(desk: Desk, record: JobRecord) -> None:
    """Let the edit's deadline be a second ago."""
    at = desk.records.now() - 1
    desk.redis.hset(keys.EDIT + record.id, "deadline_at", at)
    desk.redis.zadd(keys.DEADLINES, {record.id: at}, xx=True)


def lapse(desk: Desk, record: JobRecord) -> None:
    """Let the edit's lease run out, and what RQ keeps as long: as times to live do when nobody renews them."""
    lease = keys.LEASE + record.id
    assert 0 < desk.redis.pttl(lease) <= 1000 * desk.settings.lease_s
    desk.redis.delete(lease, *desk.redis.keys(f"rq:execution:{record.id}:*"))


def aged(seconds: float) -> str:
    """A job id as it was made so long ago."""
    made = new_id()
    return f"{int(made[:12], 16) - int(seconds * 1000):012x}{made[12:]}"


def png(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    """The job side of a service; a lease ends when the test says so (`tests.jobs.conftest.lapse`)."""
    desk = Desk(settings.model_copy(update={"lease_s": 600.0, "max_attempts": 2}))
    yield desk
    desk.close()
