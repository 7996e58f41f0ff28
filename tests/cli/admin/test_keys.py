"""`magedit keys`: what it prints is what opens the service."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from typer.testing import CliRunner

from cli.admin.keys import app
from jobs.tenants.api_keys import ApiKeys, parse
from jobs.tenants.limits import Limits
from tests.conftest import free_port


@pytest.fixture
def api_keys(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> ApiKeys:
    monkeypatch.setenv("MAGEDIT_REDIS_URL", redis_url)
    return ApiKeys(Redis.from_url(redis_url))


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_create_prints_only_the_key(api_keys: ApiKeys) -> None:
    options = (
        "--scope",
        "edits:read",
        "--expires",
        "30d",
        "--limit",
        "submits_per_minute=5",
        "--limit",
        "unfinished=0",
    )
    parts = parse(run("create", "--tenant", "acme", *options).strip())
    assert parts is not None
    key, now = api_keys.look_up(parts.id)
    assert key is not None
    assert (key.tenant, key.scopes, key.sha256) == ("acme", ("edits:read",), parts.sha256)
    assert key.limits.model_dump(exclude_unset=True) == {"submits_per_minute": 5, "unfinished": 0}
    assert key.expires_at is not None
    assert key.expires_at - now == pytest.approx(30 * 24 * 3600, abs=60)


def test_list_and_revoke(api_keys: ApiKeys) -> None:
    first, _ = api_keys.create("acme")
    limits = Limits(unfinished=3)
    second, token = api_keys.create("other", ["metrics:read"], limits=limits, expires_in_s=3600)
    run("revoke", first.id)
    listed = run("list")
    rows = {line.split()[1]: line for line in listed.splitlines() if first.id in line or second.id in line}
    assert "revoked" in rows[first.id]
    assert "valid until" in rows[second.id]
    assert "unfinished=3" in rows[second.id]
    assert token.rpartition("_")[2] not in listed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create", "--tenant", "a b"), "letters, digits"),
        (("create", "--tenant", "acme", "--expires", "soon"), "90d"),
        (("create", "--tenant", "acme", "--scope", "everything"), "edits:read"),
        (("create", "--tenant", "acme", "--limit", "submits=5"), "submits_per_minute"),
        (("create", "--tenant", "acme", "--limit", "unfinished=few"), "not a limit like"),
        (("revoke", "0123"), "there is no key"),
    ],
)
@pytest.mark.usefixtures("api_keys")
def test_wrong_use_is_explained(arguments: tuple[str, ...], told: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert told in result.output


def test_without_redis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAGEDIT_REDIS_RETRIES", "0")
    monkeypatch.setenv("MAGEDIT_STATE_DIR", str(tmp_path))
    for url in (None, f"redis://127.0.0.1:{free_port()}"):
        if url:
            monkeypatch.setenv("MAGEDIT_REDIS_URL", url)
        result = CliRunner().invoke(app, ["list"])
        assert result.exit_code == 1
        assert "magedit up" in result.output
