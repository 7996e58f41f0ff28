"""`magedit mask` in this process and by a service."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.__main__ import app
from magedit.demo.draw import draw_mask, draw_scene
from magedit.demo.scene import Scene, Thing

PICTURES = tuple(
    Thing(kind="picture", x=x, y=24, side=side, colour="red") for x, side in ((24, "left"), (104, "right"))
)
SCENE = Scene(wall="cream", floor="grey", things=PICTURES)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    path = tmp_path / "room.png"
    draw_scene(SCENE).save(path)
    return path


def test_words_find_a_mask_without_a_server(room: Path) -> None:
    out = room.with_name("mask.png")
    program = [sys.executable, "-m", "cli", "mask", str(room), "--words", "left picture", "--out", str(out)]
    answer = subprocess.run(program, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "by attention" in answer.stdout
    found, true = Image.open(out), draw_mask(SCENE, PICTURES[0])
    box, wanted = found.getbbox(), true.getbbox()
    assert box is not None
    assert wanted is not None
    assert max(abs(a - b) for a, b in zip(box, wanted, strict=True)) <= 12


def test_a_mask_is_saved_as_png_under_any_name(room: Path) -> None:
    out = room.with_name("mask.jpg")
    answer = CliRunner().invoke(app, ["mask", str(room), "--words", "left picture", "--out", str(out)])
    assert answer.exit_code == 0, answer.output
    with Image.open(out) as saved:
        assert saved.format == "PNG"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "nothing to locate"),
        (("--point", "5"), "give 2 or 3 numbers"),
        (("--point", "500,5"), "(500, 5) is outside the picture"),
        (("--box", "1,2,3"), "give 4 numbers"),
        (("--words", "lamp"), "no place in the picture matches 'lamp'"),
        (("--words", "left picture", "--model", "demo"), "only with --server"),
        (("--words", "velvet sofa"), "words that this model does not know: velvet"),
    ],
)
def test_a_failed_search_is_reported(room: Path, options: tuple[str, ...], told: str) -> None:
    answer = CliRunner().invoke(app, ["mask", str(room), *options, "--out", str(room.with_name("mask.png"))])
    assert answer.exit_code != 0
    assert told in " ".join(answer.output.replace("│", " ").split())
    assert not room.with_name("mask.png").exists()


def test_a_service_without_a_finder_for_points_says_so(room: Path, client: httpx.Client) -> None:
    server = ("--server", str(client.base_url))
    out = str(room.with_name("mask.png"))
    answer = CliRunner().invoke(app, ["mask", str(room), "--point", "5,5", *server, "--out", out])
    assert answer.exit_code != 0
    assert "cannot locate things by `points`" in " ".join(answer.output.split())
    assert json.loads(client.get("/v1/masks").text)["masks"] == []
