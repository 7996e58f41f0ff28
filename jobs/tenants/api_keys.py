"""API keys with tenant, scopes and limits; only the SHA-256 of a secret is kept.

A key is `mge_<id>_<secret>`: a public id of 64 bits, by which it is found and revoked, and a secret of 256 random bits,
both in hex. A plain hash is enough for a secret of that size: there is nothing to guess it from.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, cast, get_args

from pydantic import Field
from redis import Redis

from jobs import keys
from jobs.connection import redis_errors
from jobs.lua import load
from jobs.schema import Frozen, Tenant
from jobs.tenants.limits import Limits

Scope = Literal["edits:read", "edits:write", "usage:read", "metrics:read"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
CALLER_SCOPES: tuple[Scope, ...] = ("edits:read", "edits:write", "usage:read")
"""Default scopes of a new key."""

TOUCH_S = 300
"""Resolution of `last_used_at`, in seconds: a key in constant use is written this often, not at every request."""

_TOKEN = re.compile(r"mge_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)


class ApiKey(Frozen):
    """A stored key. Times are Unix seconds by the clock of Redis."""

    id: str
    sha256: str = Field(repr=False, description="Hash of the secret, in hex.")
    tenant: Tenant
    scopes: tuple[Scope, ...] = CALLER_SCOPES
    limits: Limits = Field(default=Limits(), description="Limits that override the settings.")
    created_at: float
    expires_at: float | None = None
    last_used_at: float | None = Field(default=None, description=f"Exact to {TOUCH_S} s.")
    revoked_at: float | None = None

    def is_valid(self, now: float) -> bool:
        """Whether the key is valid at ``now`` (Unix seconds)."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Parts(NamedTuple):
    """The parts of a key as shown once, at its creation."""

    id: str
    secret: str

    @property
    def token(self) -> str:
        """The key as callers send it."""
        return f"mge_{self.id}_{self.secret}"

    @property
    def sha256(self) -> str:
        """Hash of the secret, in hex."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


def parse(token: str) -> Parts | None:
    """The parts of a key; None if it is malformed."""
    match = _TOKEN.fullmatch(token)
    return Parts(*match.groups()) if match else None


class ApiKeys:
    """The keys in Redis. Safe to share between threads; raises `QueueUnavailable` while Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._stamp = redis.register_script(load("tenants/stamp_api_key"))

    @redis_errors()
    def create(
        self,
        tenant: str,
        scopes: Iterable[Scope] = CALLER_SCOPES,
        *,
        limits: Limits | None = None,
        expires_in_s: float | None = None,
    ) -> tuple[ApiKey, str]:
        """Create a key; returns it and its token, which is shown once. Raises ValidationError for an invalid tenant."""
        parts, now = Parts(secrets.token_hex(8), secrets.token_hex(32)), self._now()
        key = ApiKey(
            id=parts.id,
            sha256=parts.sha256,
            tenant=tenant,
            scopes=tuple(scopes),
            limits=limits or Limits(),
            created_at=now,
            expires_at=None if expires_in_s is None else now + expires_in_s,
        )
        # The constant part is one field; the times that change have their own.
        fixed = key.model_dump_json(exclude={"last_used_at", "revoked_at"}, exclude_unset=True)
        with self._redis.pipeline() as pipeline:
            pipeline.hset(keys.API_KEY + key.id, "key", fixed)
            pipeline.zadd(keys.API_KEYS, {key.id: now})
            pipeline.execute()
        return key, parts.token

    @redis_errors()
    def look_up(self, key_id: str) -> tuple[ApiKey | None, float]:
        """The key of this id, valid or not, and the time in Unix seconds, in one round trip."""
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(keys.API_KEY + key_id)
            pipeline.time()
            fields, (seconds, microseconds) = pipeline.execute()
        return _decode(fields) if fields else None, seconds + microseconds / 1e6

    @redis_errors()
    def list(self) -> tuple[ApiKey, ...]:
        """Every key ever created, the oldest first."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for key_id in cast("list[bytes]", self._redis.zrange(keys.API_KEYS, 0, -1)):
                pipeline.hgetall(keys.API_KEY + key_id.decode())
            return tuple(_decode(fields) for fields in pipeline.execute() if fields)

    @redis_errors()
    def touch(self, key_id: str) -> None:
        """Record that the key was used."""
        self._stamp(args=[key_id, "last_used_at", TOUCH_S])

    @redis_errors()
    def revoke(self, key_id: str) -> bool:
        """Revoke a key permanently. Repeatable. False: there is no such key."""
        return bool(self._stamp(args=[key_id, "revoked_at", 0]))

    def _now(self) -> float:
        seconds, microseconds = self._redis.time()
        return seconds + microseconds / 1e6


def _decode(fields: Mapping[bytes, bytes]) -> ApiKey:
    times = {name.decode(): float(value) for name, value in fields.items() if name != b"key"}
    return ApiKey.model_validate_json(fields[b"key"]).model_copy(update=times)
