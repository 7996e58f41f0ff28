from __future__ import annotations

import base64

from redis import Redis

from jobs.webhooks.secrets import WebhookSecrets


def test_a_tenant_has_one_secret_until_it_is_rotated(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        secrets = WebhookSecrets(redis)
        (first,) = secrets.valid("acme")
        assert first.startswith("whsec_")
        assert 24 <= len(base64.b64decode(first.removeprefix("whsec_"))) <= 64
        assert secrets.valid("acme") == (first,)
        assert secrets.valid("other") != (first,)
        second = secrets.rotate("acme")
        assert secrets.valid("acme") == (second, first)
        assert secrets.rotate("acme", overlap_s=0) != second
        assert len(secrets.valid("acme")) == 1
