"""`magedit models check`: what a checkpoint is and takes, and a status that scripts can read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.models import app
from tests.conftest import CHECKPOINT


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments], env={"COLUMNS": "200"})


def test_check_prints_sizes_methods_and_memory() -> None:
    result = run(str(CHECKPOINT), "--dtype", "float32")
    assert result.exit_code == 0, result.output
    for told in (
        "for pictures of 256 px",
        "256 px, a latent of 32x32; prompts of 77 tokens",
        "5 cross at 8x8",
        "mag-edit, p2p",
        "null-text",
        "in total, in float32",
    ):
        assert told in " ".join(result.output.split())


def test_an_unusable_checkpoint_is_named_and_exits_with_1(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    result = run(str(folder))
    assert result.exit_code == 1
    assert "there are no weights in its folder 'unet'" in " ".join(result.output.split())
    assert "in total, in bfloat16" in result.output


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("nowhere",), 1, "there is no folder or file 'nowhere'"),
        ((str(CHECKPOINT), "--dtype", "float8"), 2, "'float8' is not a number format"),
    ],
)
def test_a_wrong_argument_is_named(arguments: tuple[str, ...], status: int, told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == status
    assert told in " ".join(result.output.split())
