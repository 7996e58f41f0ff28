"""Sentences instead of tracebacks."""

from __future__ import annotations

import io

import httpx
import pytest
import typer
from rich.console import Console

from cli.console import make_console
from cli.display import progress_bar
from cli.errors import InvalidSetting, ModelUnavailable, explained, read_settings
from cli.processes.stack import StackError
from magedit.client import Problem, ServiceError

REFUSED = ServiceError(Problem(title="Mask", status=422, detail="the mask is empty", code="mask_empty"), None)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (REFUSED, "Mask: the mask is empty"),
        (StackError("the port is taken"), "the port is taken"),
        (InvalidSetting("MAGEDIT_LEASE_S: what"), "MAGEDIT_LEASE_S"),
        (ModelUnavailable("the checkpoint 'x' cannot be loaded"), "checkpoint 'x'"),
        (httpx.ConnectError("refused"), "cannot be reached: refused"),
    ],
)
def test_errors_are_printed(error: Exception, said: str) -> None:
    text = io.StringIO()
    with pytest.raises(typer.Exit) as caught, explained(Console(file=text)):
        raise error
    assert caught.value.exit_code == 1
    assert said in text.getvalue()


def test_a_fault_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), explained(Console(file=io.StringIO())):
        _ = 1 / 0


def test_a_wrong_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings(device="cpu").device == "cpu"
    monkeypatch.setenv("MAGEDIT_LEASE_S", "soon")
    with pytest.raises(InvalidSetting, match="MAGEDIT_LEASE_S"):
        read_settings()


def test_brackets_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    said = "run `pip install 'magedit[embedded]'` [v2] [/b]"
    with pytest.raises(typer.Exit), explained(make_console()):
        raise StackError(said)
    assert capsys.readouterr().out.split() == said.split()
    with progress_bar(make_console()) as bar:
        bar.add_task(said)
    assert said in " ".join(capsys.readouterr().out.split())
