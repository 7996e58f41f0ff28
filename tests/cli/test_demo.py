"""What the demo tells; `tests/e2e/test_whole_path.py` runs it through a real service."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from cli.demo import Outcome, report
from tests.cli.test_display import MEASURES, edit


@pytest.mark.parametrize("outside", [0, 7])
def test_the_report_names_ratios_cost_files_and_what_changed_outside(outside: int) -> None:
    files = (Path("demo-output/source.png"), Path("demo-output/result.png"))
    text = io.StringIO()
    outcome = Outcome(edit=edit(state="succeeded", measures=MEASURES), files=files, outside=outside)
    report(outcome, Console(file=text, width=150))
    lines = text.getvalue()
    for part in ("yellow carpet", "without guidance", "0.110", "0.600", "100 forward, 400 truncated, 375 backward"):
        assert part in lines
    assert f"outside the mask (dilated by 4 px): {outside}" in lines
    assert lines.index("result.png") < lines.index("source.png")
