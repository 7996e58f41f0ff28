"""What is left when a soak is over: every record, every object, every list, read past the proxies."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import cast

from redis import Redis

from jobs import keys
from jobs.connection import connect
from jobs.errors import ObjectNotFound
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.schema import PRIORITIES, JobRecord, State
from jobs.settings import Settings
from jobs.storage import ObjectStore, sha256

TENANT = "local"


@dataclass
class Census:
    """The end state at the time ``at`` (Unix seconds). Keys of objects are grouped by the id in them."""

    at: float = 0.0
    records: dict[str, JobRecord] = field(default_factory=dict)
    objects: dict[str, set[str]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the objects that the records name, by key."""
    index: dict[str, set[str]] = field(default_factory=dict)
    """The tenant's lists: `all` and one a state."""
    leftovers: dict[str, set[str]] = field(default_factory=dict)
    """What must be empty when nothing is unfinished, by name."""


def leftovers(settings: Settings) -> dict[str, set[str]]:
    """Everything in Redis that only unfinished edits have."""
    redis = connect(settings)
    queue = JobQueue(redis, Records(redis, settings))
    found = {
        "open": _texts(cast("set[bytes]", redis.smembers(keys.OPEN))),
        "missing": _texts(cast("list[bytes]", redis.zrange(keys.MISSING, 0, -1))),
        "deadline": _texts(cast("list[bytes]", redis.zrange(keys.DEADLINES, 0, -1))),
        "lease": _named(redis, keys.LEASE),
        "in line": queue.waiting(settings.model),
        "taken": queue.taken(settings.model),
        "RQ job": _named(redis, "rq:job:"),
    }
    for priority in PRIORITIES:
        registry = queue.rq(settings.model, priority).started_job_registry.key
        found[f"RQ started, {priority}"] = _texts(cast("list[bytes]", redis.zrange(registry, 0, -1)))
    redis.close()
    return {name: ids for name, ids in found.items() if ids}


def take(settings: Settings) -> Census:
    """Count everything."""
    redis, store = connect(settings), ObjectStore.from_settings(settings)
    records = Records(redis, settings)
    census = Census(leftovers=leftovers(settings))
    found = records.get_many(sorted(_named(redis, keys.EDIT)))
    census.records = {record.id: record for record in found if isinstance(record, JobRecord)}
    for name in ("all", *State):
        members = cast("list[bytes]", redis.zrange(f"{keys.TENANT}{TENANT}:{name}", 0, -1))
        census.index[name] = _texts(members)
    objects = defaultdict(set)
    for key in store.keys(f"{TENANT}/"):
        objects[key.split("/")[1]].add(key)
    census.objects = dict(objects)
    for record in census.records.values():
        for stored in (*record.results, *record.artifacts):
            try:
                census.digests[stored.key] = sha256(store.get(stored.key))
            except ObjectNotFound:
                continue
    # Last: what has expired by now may have gone meanwhile.
    census.at = records.now()
    redis.close()
    return census


def _texts(values: set[bytes] | list[bytes]) -> set[str]:
    return {value.decode() for value in values}


def _named(redis: Redis, prefix: str) -> set[str]:
    """What follows ``prefix`` in the names of keys."""
    return {key.decode().removeprefix(prefix) for key in redis.scan_iter(prefix + "*", count=1000)}
