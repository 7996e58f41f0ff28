"""Latest preview of each running edit: a small JPEG in Redis, with a time to live.

`Records.renew` writes it, under the claim; whatever ends the attempt removes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from redis import Redis

from jobs import keys
from jobs.connection import redis_errors

PREVIEW_TTL_S: Final = 300
"""Time to live of a preview, in seconds."""

CONTENT_TYPE: Final = "image/jpeg"


@dataclass(frozen=True, kw_only=True)
class EditPreview:
    """A stored preview: ``image`` (`CONTENT_TYPE`) shows result ``result`` after ``step`` of ``steps``.

    ``number`` grows with each preview of the attempt, from 1.
    """

    image: bytes
    result: int
    step: int
    steps: int
    number: int = 0


class Previews:
    """Reads the previews. Safe to share between threads; raises `QueueUnavailable` while Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @redis_errors()
    def get(self, job_id: str) -> EditPreview | None:
        """The edit's latest preview, if there is one."""
        fields = cast("dict[bytes, bytes]", self._redis.hgetall(keys.PREVIEW + job_id))
        if not fields:
            return None
        image = fields.pop(b"image")
        return EditPreview(image=image, **{name.decode(): int(value) for name, value in fields.items()})

    @redis_errors()
    def number(self, job_id: str) -> int:
        """The number of the edit's latest preview; 0: there is none."""
        return int(cast("bytes | None", self._redis.hget(keys.PREVIEW + job_id, "number")) or 0)
