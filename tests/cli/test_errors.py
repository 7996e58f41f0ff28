"""Sentences instead of tracebacks."""

from __future__ import annotations

import io

import httpx
import pytest
import typer
from rich.console import Console

from cli.errors import NoModel, WrongSetting, explained, read_settings
from cli.stack import StackError
from magedit.client import Problem, ServiceError

REFUSED = ServiceError(Problem(title="Mask", status=422, detail="the mask is empty", code="mask_empty"), None)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (REFUSED, "Mask: the mask is empty"),
        (StackError("the port is taken"), "the port is taken"),
        (WrongSetting("MAGEDIT_LEASE_S: what"), "MAGEDIT_LEASE_S"),
        (NoModel("the checkpoint 'x' cannot be loaded"), "checkpoint 'x'"),
        (httpx.ConnectError("refused"), "cannot be reached: refused"),
    ],
)
def test_what_went_wrong_is_said(error: Exception, said: str) -> None:
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
    with pytest.raises(WrongSetting, match="MAGEDIT_LEASE_S"):
        read_settings()
