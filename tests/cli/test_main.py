"""The commands' own part: help, and wrong use that ends in a sentence. What they do is tested in tests/e2e."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from tests.conftest import free_port
from tests.service.conftest import mask, picture


@pytest.mark.parametrize("command", ["up", "worker", "edit", "status", "demo", "keys"])
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_a_service_that_is_not_there_is_said(tmp_path: Path) -> None:
    image, masked = tmp_path / "image.png", tmp_path / "mask.png"
    image.write_bytes(picture())
    masked.write_bytes(mask())
    server = ["--server", f"http://127.0.0.1:{free_port()}"]
    edit = ["edit", str(image), str(masked), "--from", "a", "--to", "b", "--out", str(tmp_path / "out.png")]
    for arguments in (["status", "0" * 32], edit):
        result = CliRunner().invoke(app, [*arguments, *server])
        assert result.exit_code == 1
        assert "cannot be reached" in result.output
    assert not (tmp_path / "out.png").exists()


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGEDIT_LEASE_S", "soon")
    result = CliRunner().invoke(app, ["up"])
    assert result.exit_code == 1
    assert "MAGEDIT_LEASE_S" in result.output
