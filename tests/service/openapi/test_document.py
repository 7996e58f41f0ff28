"""The written contract is what the code says, and says what the code does."""

from __future__ import annotations

import json

import pytest
from openapi_spec_validator import validate

from service.openai.form import PATH as IMAGES
from service.openapi import __main__ as contract_file


def test_the_file_is_up_to_date() -> None:
    assert contract_file.main(["check"]) == 0, "run `python -m service.openapi write`"


def test_the_document_is_valid() -> None:
    validate(json.loads(contract_file.FILE.read_text()))


def test_every_error_is_a_problem_document_or_of_openais_shape() -> None:
    document = json.loads(contract_file.FILE.read_text())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if status == "default" or int(status) >= 400:
                    kind = "application/json" if path == IMAGES else "application/problem+json"
                    assert list(response["content"]) == [kind], (path, method, status)
            assert "default" in operation["responses"], (path, method)
            assert operation.get("summary"), (path, method)
    assert "HTTPValidationError" not in contract_file.FILE.read_text()


def test_difference_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(contract_file, "rendered", lambda: "{}")
    assert contract_file.main(["check"]) == 1
    assert "write" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        contract_file.main([])
    assert stopped.value.code == 2
