"""`magedit models` on the service's Redis."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from typer.testing import CliRunner, Result

from cli.__main__ import app
from jobs.models import Models
from tests.conftest import CHECKPOINT
from tests.service.conftest import model_info, tokenizer_json


@pytest.fixture
def models(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Models:
    monkeypatch.setenv("MAGEDIT_REDIS_URL", redis_url)
    return Models(Redis.from_url(redis_url))


def magedit(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments], env={"COLUMNS": "200"})


def test_an_announced_model_is_declared_and_forgotten(models: Models) -> None:
    assert "no model yet" in magedit("list").output
    models.announce(model_info(), "worker-1", 60, tokenizer_json())
    models.withdraw(model_info(), "worker-1")
    assert magedit("declare", "demo").exit_code == 0
    assert models.all()["demo"].is_declared
    assert "yes" in magedit("list").output
    assert magedit("forget", "demo").exit_code == 0
    assert models.all() == {}
    again = magedit("forget", "demo")
    assert again.exit_code == 2
    assert "'demo' is not declared" in again.output


def test_an_unknown_model_needs_its_checkpoint(models: Models) -> None:
    refused = magedit("declare", "sd14")
    assert refused.exit_code == 2
    assert "--checkpoint" in refused.output
    assert models.all() == {}


def test_a_declared_checkpoint_is_inspected(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGEDIT_DEVICE", "cpu")
    done = magedit("declare", "tiny", "--checkpoint", str(CHECKPOINT))
    assert done.exit_code == 0, done.output
    status = models.all()["tiny"]
    assert (status.is_declared, status.workers, status.info.image_size) == (True, 0, 256)
    assert models.tokenizer_json(status.info)


def test_an_unusable_checkpoint_is_reported_without_a_traceback(models: Models, tmp_path: Path) -> None:
    refused = magedit("declare", "none", "--checkpoint", str(tmp_path))
    assert refused.exit_code == 1
    assert isinstance(refused.exception, SystemExit)
    assert str(tmp_path) in refused.output.replace("\n", "")
    assert models.all() == {}


def test_load_and_unload_orders_reach_the_workers(models: Models) -> None:
    assert magedit("load", "demo").exit_code == 2
    models.announce(model_info(), "worker-1", 60, tokenizer_json())
    assert magedit("load", "demo").exit_code == 0
    first = models.orders()["demo"]
    assert first.startswith("load ")
    assert magedit("unload", "demo").exit_code == 0
    assert models.orders()["demo"].startswith("unload ")
    models.withdraw(model_info(), "worker-1")
    refused = magedit("unload", "demo")
    assert refused.exit_code == 2
    assert "no worker serves 'demo' now" in refused.output
