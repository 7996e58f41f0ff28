"""Command line of the vectors' figures."""

from __future__ import annotations

import sys

import pytest

from benchmarks.fidelity import vectors


@pytest.mark.parametrize(("argument", "status", "said"), [("--help", 0, "usage"), ("--fast", 2, "--fast")])
def test_arguments_are_read_before_anything_is_computed(
    argument: str, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["vectors", argument])
    with pytest.raises(SystemExit) as stopped:
        vectors.main()
    assert stopped.value.code == status
    assert said in "".join(capsys.readouterr())
