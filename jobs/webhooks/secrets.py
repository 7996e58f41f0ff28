"""Signing secrets of webhooks, one per tenant.

Stored in clear text, since signatures are computed from them.
"""

from __future__ import annotations

from redis import Redis

from jobs import keys
from jobs.connection import redis_errors
from jobs.lua import load
from jobs.webhooks.message import new_secret

OVERLAP_S = 24 * 3600
"""How long a replaced secret keeps signing beside its successor, in seconds."""


class WebhookSecrets:
    """The secrets of all tenants. Safe to share between threads; raises `QueueUnavailable` while Redis is away."""

    def __init__(self, redis: Redis) -> None:
        self._secrets = redis.register_script(load("webhooks/secrets"))

    def valid(self, tenant: str) -> tuple[str, ...]:
        """The currently valid secrets, the newest first; created on first use."""
        return self._ask(tenant, new_secret(), replace=False, overlap_s=0)

    def rotate(self, tenant: str, *, overlap_s: int = OVERLAP_S) -> str:
        """Replace the tenant's secret, which keeps signing for ``overlap_s`` seconds; returns the new one."""
        return self._ask(tenant, new_secret(), replace=True, overlap_s=overlap_s)[0]

    @redis_errors()
    def _ask(self, tenant: str, fresh: str, *, replace: bool, overlap_s: int) -> tuple[str, ...]:
        # Repeatable: a rotation whose reply was lost finds its own secret.
        answer = self._secrets(keys=[keys.WEBHOOK_SECRET + tenant], args=[fresh, int(replace), overlap_s])
        return tuple(secret.decode() for secret in answer)
