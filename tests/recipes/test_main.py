import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from recipes.__main__ import app


def test_scenes_writes_a_contact_sheet(tmp_path: Path) -> None:
    sheet = tmp_path / "rooms.png"
    size = ["--rows", "2", "--columns", "3", "--size", "64"]
    result = CliRunner().invoke(app, ["scenes", "--out", str(sheet), *size])
    assert result.exit_code == 0, result.output
    with Image.open(sheet) as picture:
        assert picture.size == (192, 128)


def test_unknown_presets_are_refused() -> None:
    result = CliRunner().invoke(app, ["train", "--preset", "huge"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 2
    assert "preset 'huge' is unknown: use one of cpu-128" in result.output


def test_unknown_flow_presets_are_refused() -> None:
    result = CliRunner().invoke(app, ["train-flow", "--preset", "toy"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 2
    assert "preset 'toy' is unknown: use one of flow-256, flow-256-gpu, flow-toy" in result.output


@pytest.mark.parametrize("command", [["train", "--preset", "toy"], ["train-flow", "--preset", "flow-toy"]])
def test_a_spent_budget_ends_with_its_own_code(tmp_path: Path, command: list[str]) -> None:
    state = ["--state", str(tmp_path / "state"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*command, *state, "--budget-s", "0"])
    assert result.exit_code == 3, result.output
    assert "run again" in result.output
    assert not (tmp_path / "out").exists()


def test_evaluate_writes_figures_and_grids(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    few = ["--prompts", "1", "--pictures", "2", "--inversions", "1", "--edits", "0", "--steps", "4"]
    result = CliRunner().invoke(app, ["evaluate", "--out", str(tmp_path), *few])
    torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "evaluation.json").read_text())
    assert set(figures) == {"vae", "inversion", "attention", "prompts"}
    assert (tmp_path / "prompts.png").exists()
