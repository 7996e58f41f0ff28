"""What the demo tells; `tests/e2e/test_whole_path.py` runs it through a real service."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from cli.demo import Outcome, report
from tests.cli.test_show import edit

MEASURES = {
    "before": [{"token": 0.1, "spatial": 0.2}],
    "after": [{"token": 0.6, "spatial": 0.7}],
    "unguided": [{"token": 0.11, "spatial": 0.22}],
    "words": [["red pillow"]],
    "unet_forward": 100,
    "unet_truncated_forward": 415,
    "unet_backward": 375,
    "stage_seconds": {"invert": 1.0, "edit": 9.5},
    "crop": [0, 0, 128, 128],
    "outside_difference": 0,
    "dilation": 2,
}


@pytest.mark.parametrize("outside", [0, 7])
def test_the_report_names_ratios_cost_files_and_what_changed_outside(outside: int) -> None:
    files = (Path("demo-output/source.png"), Path("demo-output/result.png"))
    text = io.StringIO()
    outcome = Outcome(edit=edit(state="succeeded", measures=MEASURES), files=files, outside=outside)
    report(outcome, Console(file=text, width=150))
    lines = text.getvalue()
    for part in ("red pillow", "without guidance", "0.110", "0.600", "100 forward, 415 truncated, 375 backward"):
        assert part in lines
    assert f"outside the mask (dilated by 2 px): {outside}" in lines
    assert lines.index("result.png") < lines.index("source.png")
