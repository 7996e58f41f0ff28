"""API keys as bearer tokens (RFC 6750)."""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from jobs.tenants.api_keys import SCOPES, TOUCH_S, ApiKey, ApiKeys, parse
from jobs.tenants.limits import Limits
from service.errors import InvalidKey

LOCAL_TENANT = "local"
"""Owner of every edit if the service runs without keys."""

CACHED_KEYS = 4096
"""Most cached keys of a process, and most cached ids without a key."""

# Compared with the secret of an unknown id, so that it takes as long as a known one.
_NO_SHA256 = sha256(b"").hexdigest()


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The caller: edits belong to a tenant and are invisible to all others. ``scopes``: what it may do, ``limits``: how
    much."""

    tenant: str
    scopes: frozenset[str]
    limits: Limits = field(default_factory=Limits)


LOCAL = Caller(tenant=LOCAL_TENANT, scopes=frozenset(SCOPES))
"""Every caller of a service without keys."""

SCRAPER = Caller(tenant=LOCAL_TENANT, scopes=frozenset({"metrics:read"}))
"""The caller of metrics that need no key."""


class Authenticator:
    """Finds the key of a token. Safe to share between threads.

    A lookup in Redis is cached for ``cache_s`` seconds (0: not at all), in which a revoked key may still work. Unknown
    ids are cached and their secrets compared in the same way.
    """

    def __init__(self, api_keys: ApiKeys, *, cache_s: float, default_limits: Limits) -> None:
        self._keys = api_keys
        self._cache_s = cache_s
        self._limits = default_limits
        # A cache of its own, so that invented ids evict no key.
        self._known = _Cache()
        self._unknown = _Cache()

    def caller(self, token: str) -> Caller:
        """The caller with this key. Raises InvalidKey (which does not say why), QueueUnavailable."""
        parts = parse(token)
        if parts is None:
            raise InvalidKey
        key, used_at = self._find(parts.id)
        matches = hmac.compare_digest(parts.sha256, key.sha256 if key else _NO_SHA256)
        if not matches or key is None:
            raise InvalidKey
        if used_at is not None and used_at - (key.last_used_at or 0.0) > TOUCH_S:
            self._keys.touch(key.id)
        limits = self._limits.model_copy(update=key.limits.model_dump(exclude_unset=True))
        return Caller(tenant=key.tenant, scopes=frozenset(key.scopes), limits=limits)

    def _find(self, key_id: str) -> tuple[ApiKey | None, float | None]:
        """The key if it is valid, and the time in Unix seconds if Redis was asked."""
        now = time.monotonic()
        found = self._known.get(key_id) or self._unknown.get(key_id)
        if found is not None and now < found.until:
            return found.key, None
        key, at = self._keys.look_up(key_id)
        until = now + self._cache_s
        if key is not None and key.is_valid(at):
            if key.expires_at is not None:
                until = min(until, now + key.expires_at - at)
            self._known.keep(key_id, _Found(key, until))
        else:
            key = None
            self._known.drop(key_id)
            self._unknown.keep(key_id, _Found(None, until))
        return key, at


class _Found(NamedTuple):
    """Result of a lookup and its expiry (monotonic seconds)."""

    key: ApiKey | None
    until: float


class _Cache:
    """The latest `CACHED_KEYS` lookups."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, _Found] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key_id: str) -> _Found | None:
        return self._found.get(key_id)

    def keep(self, key_id: str, found: _Found) -> None:
        with self._lock:
            self._found[key_id] = found
            self._found.move_to_end(key_id)
            if len(self._found) > CACHED_KEYS:
                self._found.popitem(last=False)

    def drop(self, key_id: str) -> None:
        with self._lock:
            self._found.pop(key_id, None)
