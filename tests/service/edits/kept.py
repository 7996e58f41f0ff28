"""Checks of what an accepted or refused submission keeps."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.settings import Settings
from jobs.storage import ObjectStore
from tests.jobs.conftest import open_ids


def assert_nothing_kept(settings: Settings) -> None:
    """No record, nothing in line, nothing in storage."""
    with connect(settings) as redis:
        records = Records(redis, settings)
        assert records.list("local").records == ()
        assert open_ids(records) == set()
        assert JobQueue(redis, records).depth("demo") == 0
    assert ObjectStore.from_settings(settings).keys("local/") == []


def kept_masks(settings: Settings, edit: str) -> list[Image.Image]:
    store = ObjectStore.from_settings(settings)
    with connect(settings) as redis:
        record = Records(redis, settings).require(edit, "local")
    return [Image.open(io.BytesIO(store.get(key))) for key in record.masks]


def stored_mask(edit: dict[str, Any], settings: Settings) -> Image.Image:
    """The mask of an accepted edit."""
    with connect(settings) as redis:
        record = Records(redis, settings).require(edit["id"], "local")
    return Image.open(io.BytesIO(ObjectStore.from_settings(settings).get(record.masks[0])))
