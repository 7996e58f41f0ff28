"""The commands' own part: help, and wrong use that ends in a sentence. What they do is tested in tests/e2e."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from magedit import EditConfig, __version__
from tests.conftest import free_port
from tests.service.conftest import mask, picture


@pytest.mark.parametrize("command", ["up", "worker", "edit", "list", "show", "cancel", "delete", "demo", "keys"])
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_an_unreachable_service_is_reported(tmp_path: Path) -> None:
    image, masked = tmp_path / "image.png", tmp_path / "mask.png"
    image.write_bytes(picture())
    masked.write_bytes(mask())
    server = ["--server", f"http://127.0.0.1:{free_port()}"]
    edit = ["edit", str(image), str(masked), "--from", "a", "--to", "b", "--out", str(tmp_path / "out.png")]
    for arguments in (["show", "0" * 32], ["list"], edit):
        result = CliRunner().invoke(app, [*arguments, *server])
        assert result.exit_code == 1
        assert "cannot be reached" in result.output
    assert not (tmp_path / "out.png").exists()


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGEDIT_LEASE_S", "soon")
    result = CliRunner().invoke(app, ["up"])
    assert result.exit_code == 1
    assert "MAGEDIT_LEASE_S" in result.output


def test_the_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"magedit {__version__}\n"


def test_status_names_its_successor() -> None:
    result = CliRunner().invoke(app, ["status", "abc"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "magedit show abc" in result.output


@pytest.mark.parametrize("command", ["edit", "demo"])
def test_help_is_short_and_help_all_names_every_parameter(command: str) -> None:
    environment = {"COLUMNS": "80"}
    short = CliRunner().invoke(app, [command, "--help"], env=environment).output
    whole = CliRunner().invoke(app, [command, "--help-all"], env=environment).output
    assert len(re.findall(r"^.{1,4}--", short, re.MULTILINE)) <= 12
    assert len(short.splitlines()) < 80
    for field in dataclasses.fields(EditConfig):
        assert f"--{field.name.replace('_', '-')}" in whole
    assert "typing" not in whole
    for text in (short, whole):
        assert max(map(len, text.splitlines())) <= 80


def test_a_misspelt_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGEDIT_DEVIC", "cpu")
    monkeypatch.setenv("MAGEDIT_LEASE_S", "soon")
    result = CliRunner().invoke(app, ["up"], env={"COLUMNS": "200"})
    assert "MAGEDIT_DEVIC is not a setting and has no effect: did you mean MAGEDIT_DEVICE?" in result.output
