"""Encoding of a record as a Redis hash, one field each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from pydantic import ValidationError

from jobs.schema import AnyRecord, JobRecord, MaskRecord, UnreadableRecord
from magedit.config.types import RENAMED, RENAMED_IN_REGION

log = structlog.get_logger()

# Fields stored as plain text; all others are JSON.
_TEXT = frozenset({"id", "kind", "tenant", "image", "state", "worker", "webhook_url", "request_id", "traceparent"})


def encode(record: JobRecord) -> dict[str, str]:
    """The hash of a record. Fields that are None are left out, and so is the kind `edit`."""
    dumped = record.model_dump(mode="json", exclude_none=False)
    return {
        name: value if name in _TEXT else json.dumps(int(value) if isinstance(value, bool) else value)
        for name, value in dumped.items()
        if value is not None and (name, value) != ("kind", "edit")
    }


def decode(fields: Mapping[bytes, bytes]) -> JobRecord:
    """The record of a hash. Raises ValueError if this version cannot read it."""
    decoded = {name.decode(): value.decode() for name, value in fields.items()}
    values = {name: value if name in _TEXT else json.loads(value) for name, value in decoded.items()}
    if values.get("kind") == "mask":
        return MaskRecord.model_validate(values)
    return JobRecord.model_validate(_renamed(values))


def _renamed(record: dict[str, Any]) -> dict[str, Any]:
    """``record`` with the current names of fields that an earlier version wrote: edits survive an upgrade."""
    request, measures = record.get("request") or {}, record.get("measures") or {}
    _rename(request.get("config", {}), RENAMED)
    for config in request.get("compare", ()):
        _rename(config, RENAMED)
    for region in request.get("regions", ()):
        _rename(region, RENAMED_IN_REGION)
    _rename(measures, {"dilation": "paste_margin_px"})
    return record


def _rename(values: dict[str, Any], renamed: Mapping[str, str]) -> None:
    for before, now in renamed.items():
        if before in values:
            values[now] = values.pop(before)


def read(job_id: str, fields: Mapping[bytes, bytes]) -> AnyRecord:
    """Decode a record's hash; of a record that cannot be decoded, its readable part."""
    try:
        return decode(fields)
    except ValueError as error:
        log.warning("record not readable: another version's?", job=job_id, reason=str(error))
        return _remains(job_id, fields)


def request_parts(request: bytes) -> dict[str, str]:
    """Model and priority of a request written by any version. Raises ValueError."""
    try:
        asked = json.loads(request)
        return {"model": str(asked["model"]), "priority": str(asked.get("priority", "normal"))}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no request: {error!r}") from error


def _remains(job_id: str, fields: Mapping[bytes, bytes]) -> UnreadableRecord:
    known: dict[str, object] = {}
    for field in UnreadableRecord.model_fields:
        value = fields.get(field.encode())
        try:
            if value is not None:
                known[field] = value.decode() if field in _TEXT else json.loads(value)
        except ValueError:
            continue
    with suppress(ValueError):
        known |= request_parts(fields.get(b"request", b""))
    known = {"tenant": ""} | known | {"id": job_id}
    while True:
        try:
            return UnreadableRecord.model_validate(known)
        except ValidationError as error:
            # Each round drops the invalid fields; with only id and tenant left the rest is valid.
            for wrong in error.errors():
                known.pop(str(wrong["loc"][0]), None)
            known = {"tenant": ""} | known | {"id": job_id}


def decode_pairs(pairs: Sequence[bytes]) -> JobRecord:
    """The record of a hash as a script returns it: name, value, name, value ... Raises as `decode`."""
    return decode(dict(zip(pairs[::2], pairs[1::2], strict=True)))


def flat(fields: Mapping[str, str]) -> list[str]:
    """A hash as a script takes it: name, value, name, value ..."""
    return [text for pair in fields.items() for text in pair]
