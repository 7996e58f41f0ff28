"""The README's table of settings is made from the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.settings import Settings
from service.settings_table import BEGIN, END, main, table, with_table

README = Path(__file__).parents[2] / "README.md"


def test_every_setting_has_a_row_that_says_what_it_is() -> None:
    rows = table().splitlines()[2:]
    assert len(rows) == len(Settings.model_fields)
    for row, (name, field) in zip(rows, Settings.model_fields.items(), strict=True):
        assert row.startswith(f"| `MAGEDIT_{name.upper()}` |")
        assert field.description
        assert field.description in row


def test_write_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main(["check", str(file)]) == 1
    assert "settings_table write" in capsys.readouterr().err
    assert main(["write", str(file)]) == 0
    assert main(["check", str(file)]) == 0
    text = file.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| variable")
    assert text.endswith(f"{END}\nafter\n")
    assert main([]) == 2


def test_a_file_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="settings:begin"):
        with_table("no markers")


def test_the_readme_is_up_to_date() -> None:
    assert main(["check", str(README)]) == 0
