from __future__ import annotations

import pytest
from redis import Redis
from typer.testing import CliRunner

from cli.admin.webhooks import app
from jobs.webhooks.secrets import WebhookSecrets
from tests.conftest import free_port


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_secrets_are_shown_and_replaced(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGEDIT_REDIS_URL", redis_url)
    with Redis.from_url(redis_url) as redis:
        secrets = WebhookSecrets(redis)
        first = run("secret", "--tenant", "acme")
        assert secrets.valid("acme") == (first,)
        second = run("rotate", "--tenant", "acme")
        assert secrets.valid("acme") == (second, first)
        third = run("rotate", "--tenant", "acme", "--overlap", "1h")
        assert secrets.valid("acme") == (third, second)
        assert run("secret") != third


def test_without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGEDIT_REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MAGEDIT_REDIS_RETRIES", "0")
    result = CliRunner().invoke(app, ["secret"])
    assert result.exit_code == 1
    assert "Redis does not respond" in result.output
