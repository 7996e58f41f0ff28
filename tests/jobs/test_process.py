from __future__ import annotations

import os

import pytest

from jobs.process import start


def test_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGEDIT_THREADS", "3")
    assert start().threads == 3


def test_a_setting_that_cannot_be_used_ends_the_process_for_good(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAGEDIT_THREADS", "many")
    with pytest.raises(SystemExit) as ended:
        start()
    assert ended.value.code == os.EX_CONFIG
    assert "MAGEDIT_THREADS" in capsys.readouterr().err
