"""API keys as they are kept."""

from __future__ import annotations

import hashlib

import pytest
from pydantic import ValidationError

from jobs import keys
from jobs.tenants.api_keys import TOUCH_S, ApiKeys, parse
from tests.jobs.conftest import Desk


@pytest.fixture
def api_keys(desk: Desk) -> ApiKeys:
    return ApiKeys(desk.redis)


def test_stored_key_has_no_secret(api_keys: ApiKeys, desk: Desk) -> None:
    key, token = api_keys.create("acme", ["edits:read"], expires_in_s=60)
    parts = parse(token)
    assert parts is not None
    assert parts.token == token
    assert len(bytes.fromhex(parts.secret)) * 8 == 256
    assert key.sha256 == hashlib.sha256(parts.secret.encode()).hexdigest()
    found, now = api_keys.look_up(parts.id)
    assert found == key
    assert key.is_valid(now)
    assert not key.is_valid(now + 61)
    kept = desk.redis.hgetall(keys.API_KEY + key.id)
    assert not any(parts.secret in str(value) for value in kept.values())
    assert key.sha256 not in repr(key)


def test_malformed_keys_are_rejected() -> None:
    good = "mge_" + "0" * 16 + "_" + "a" * 64
    assert parse(good) is not None
    for token in ("", "mge_", good[:-1], good + "0", good.upper(), " " + good, good + "\n", good.replace("a", "é")):
        assert parse(token) is None


def test_revocation_is_permanent(api_keys: ApiKeys) -> None:
    key, _ = api_keys.create("acme")
    assert api_keys.revoke(key.id)
    first, now = api_keys.look_up(key.id)
    assert api_keys.revoke(key.id)
    again, _ = api_keys.look_up(key.id)
    assert first is not None
    assert first == again
    assert not first.is_valid(now)
    assert not api_keys.revoke("0" * 16)
    assert api_keys.look_up("0" * 16)[0] is None


def test_last_use_is_written_rarely(api_keys: ApiKeys, desk: Desk) -> None:
    key, _ = api_keys.create("acme")
    api_keys.touch(key.id)
    used = api_keys.list()[0].last_used_at
    assert used is not None
    api_keys.touch(key.id)
    assert api_keys.list()[0].last_used_at == used
    desk.redis.hset(keys.API_KEY + key.id, "last_used_at", str(used - TOUCH_S))
    api_keys.touch(key.id)
    later = api_keys.list()[0].last_used_at
    assert later is not None
    assert later >= used
    api_keys.touch("0" * 16)
    assert len(desk.redis.keys(keys.API_KEY + "*")) == 1


def test_list_is_in_order_and_tenants_have_names(api_keys: ApiKeys) -> None:
    made = [api_keys.create(tenant)[0].id for tenant in ("b", "a", "c")]
    assert [key.id for key in api_keys.list()] == made
    with pytest.raises(ValidationError):
        api_keys.create("../other")
