"""What the demo edit costs, on the tiny checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import edit
from benchmarks.edit import STAGES, VARIANTS, measure, summary
from magedit.measures.report import EditMeasures, Ratios
from tests.magedit.conftest import CHECKPOINT


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit, "checkpoint_path", lambda: CHECKPOINT)


def measures(seconds: float, token: float) -> EditMeasures:
    return EditMeasures(
        after=(Ratios(token=token, spatial=0.0),),
        stage_seconds={"invert": seconds, "edit": 2 * seconds},
        unet_forward=30,
        unet_truncated_forward=20,
        unet_backward=10,
    )


def test_a_row_has_medians_of_each_figure_by_itself() -> None:
    rows = summary({"one": [measures(1.0, 0.3), measures(9.0, 0.1), measures(2.0, 0.2)]})
    assert rows["one"] == {
        **{"prepare": 0.0, "invert": 2.0, "optimize": 0.0, "edit": 4.0, "decode": 0.0},
        **{"seconds": 6.0, "forward": 30, "truncated": 20, "backward": 10, "token ratio": 0.2},
    }


def test_every_variant_is_measured_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit, "VARIANTS", {name: VARIANTS[name] for name in ("p2p, direct", "mag-edit, direct")})
    runs = measure(steps=2, repeats=2, seed=0)
    assert {name: len(each) for name, each in runs.items()} == {"p2p, direct": 2, "mag-edit, direct": 2}
    rows = summary(runs)
    # Guidance is what the two differ in.
    assert rows["p2p, direct"]["backward"] == 0 < rows["mag-edit, direct"]["backward"]
    assert set().union(*(each.stage_seconds for each in runs["mag-edit, direct"])) <= set(STAGES)


def test_the_command_prints_and_keeps_the_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["edit", "--steps", "2", "--repeats", "1", "--json", str(file)])
    edit.main()
    assert set(json.loads(file.read_text())) == set(VARIANTS)
    shown = capsys.readouterr().out
    assert all(name in shown for name in VARIANTS)
