"""A record as the hash that Redis keeps of it: a field each, its text as it is, everything else as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from jobs.schema import JobRecord

# Fields that are text as they are; all others are JSON.
_TEXT = frozenset({"id", "tenant", "image", "state", "worker", "webhook_url", "request_id", "traceparent"})


def encode(record: JobRecord) -> dict[str, str]:
    """The hash of a record. Fields that are None are left out."""
    dumped = record.model_dump(mode="json", exclude_none=False)
    return {
        name: value if name in _TEXT else json.dumps(int(value) if isinstance(value, bool) else value)
        for name, value in dumped.items()
        if value is not None
    }


def decode(fields: Mapping[bytes, bytes]) -> JobRecord:
    """The record of a hash. Raises ValueError if this program cannot read it, as one of another version."""
    decoded = {name.decode(): value.decode() for name, value in fields.items()}
    return JobRecord.model_validate(
        {name: value if name in _TEXT else json.loads(value) for name, value in decoded.items()}
    )


def decode_pairs(pairs: Sequence[bytes]) -> JobRecord:
    """The record of a hash as a script answers it: name, value, name, value ... Raises as `decode`."""
    return decode(dict(zip(pairs[::2], pairs[1::2], strict=True)))


def flat(fields: Mapping[str, str]) -> list[str]:
    """A hash as a script takes it: name, value, name, value ..."""
    return [text for pair in fields.items() for text in pair]
