"""The generated reference: complete, and up to date in the repository."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jobs.settings import Settings
from magedit.inversion.registry import INVERSIONS
from magedit.methods.registry import METHODS
from service.openapi.contract import codes
from tools.reference import FOLDER, PAGES, main, methods, problems, settings

OPENAPI = Path(__file__).parents[2] / "openapi" / "openapi.json"


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_every_setting_has_a_documented_row() -> None:
    text = settings()
    assert first_cells(text) == [f"MAGEDIT_{name.upper()}" for name in Settings.model_fields]
    for field in Settings.model_fields.values():
        assert field.description
        assert field.description.replace("|", "\\|") in text


def test_every_method_inversion_and_form_field_has_a_row() -> None:
    schemas = json.loads(OPENAPI.read_text())["components"]["schemas"]
    form = schemas["EditForm"]
    assert first_cells(methods()) == [*METHODS, *INVERSIONS, *form["properties"]]


def test_every_problem_code_has_a_row_with_its_status() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", problems(), re.MULTILINE)
    assert {code: int(status) for code, status in rows} == codes()


def test_the_repository_is_up_to_date() -> None:
    assert main(["check"]) == 0
    assert {file.name for file in FOLDER.iterdir()} == set(PAGES)


def test_write_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"], tmp_path) == 1
    assert "make reference" in capsys.readouterr().err
    assert main(["write"], tmp_path) == 0
    assert main(["check"], tmp_path) == 0
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
