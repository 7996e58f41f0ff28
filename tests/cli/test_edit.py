"""`magedit edit` in this process, on the tiny real checkpoint; with a server it is tested in tests/e2e."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner, Result

from cli.__main__ import app
from magedit.images.masks import outside_difference
from tests.service.conftest import Form, assert_problem, encode

CHECKPOINT = Path(__file__).parents[1] / "data" / "tiny-checkpoint"
SIZE = (90, 70)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.linear_gradient("L").resize(SIZE).convert("RGB").save(path)
    return path


def mask_file(folder: Path, box: tuple[int, int, int, int] = (10, 10, 40, 40), name: str = "mask.png") -> Path:
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    mask.save(folder / name)
    return folder / name


def magedit_edit(
    image: Path, masks: list[Path], out: Path, *options: str, to: str = "a room with a purple carpet"
) -> Result:
    arguments = ["edit", str(image), *map(str, masks), "--out", str(out)]
    arguments += ["--from", "a room with a green carpet", "--to", to, "--steps", "2"]
    here = ["--checkpoint", str(CHECKPOINT), "--device", "cpu"]
    quick = ["--max-iterations", "1"]
    return CliRunner().invoke(app, [*arguments, *quick, *here, *options], env={"COLUMNS": "300"})


@pytest.mark.parametrize(("name", "kind"), [("out.png", "PNG"), ("new/out.jpg", "JPEG"), ("out.WEBP", "WEBP")])
def test_the_ending_says_the_format(image: Path, tmp_path: Path, name: str, kind: str) -> None:
    out, mask = tmp_path / name, mask_file(tmp_path)
    done = magedit_edit(image, [mask], out)
    assert done.exit_code == 0, done.output
    with Image.open(out) as result, Image.open(image) as before, Image.open(mask) as selected:
        assert (result.format, result.size) == (kind, SIZE)
        if kind != "JPEG":
            assert outside_difference(before, result.convert("RGB"), selected, 2) == 0
    assert f"saved {out}" in done.output
    assert "purple" in done.output
    assert "UNet" in done.output


def test_masks_pair_with_regions_and_artifacts_are_saved_next_to_the_result(image: Path, tmp_path: Path) -> None:
    masks = [mask_file(tmp_path), mask_file(tmp_path, (50, 30, 80, 60), "other.png")]
    regions = json.dumps([{"words": ["purple"]}, {"words": ["carpet"]}])
    done = magedit_edit(image, masks, tmp_path / "out.png", "--regions", regions, "--artifacts", "attention")
    assert done.exit_code == 0, done.output
    saved = {each.name for each in tmp_path.iterdir()} - {"photo.png", "mask.png", "other.png"}
    assert {"out.png", "out-overview.png", "out-attention-after-1.png", "out-trace.json"} <= saved


def test_an_edit_without_words_to_measure(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    done = magedit_edit(image, [mask_file(tmp_path)], out, "--method", "p2p", to="a green carpet")
    assert (done.exit_code, done.exception) == (0, None), done.output
    assert "UNet" in done.output
    assert "token" not in done.output


def test_several_methods_leave_a_sheet_and_a_table(image: Path, tmp_path: Path) -> None:
    done = magedit_edit(image, [mask_file(tmp_path)], tmp_path / "out.png", "--compare", "p2p", "--compare", "diffedit")
    assert done.exit_code == 0, done.output
    saved = {each.name for each in tmp_path.iterdir()} - {"photo.png", "mask.png"}
    assert saved == {"out-0.png", "out-1.png", "out-contact-sheet.png", "out-comparison.json"}
    rows = json.loads((tmp_path / "out-comparison.json").read_text())
    assert [row["method"] for row in rows] == ["p2p", "diffedit"]


def test_several_results_are_named_by_number(image: Path, tmp_path: Path) -> None:
    options = ["--n", "2", "--sweep", "0.5", "--sweep", "1"]
    done = magedit_edit(image, [mask_file(tmp_path)], tmp_path / "out.png", *options)
    assert done.exit_code == 0, done.output
    saved = {each.name for each in tmp_path.iterdir()} - {"photo.png", "mask.png"}
    assert saved == {"out-0.png", "out-1.png", "out-2.png", "out-3.png", "out-contact-sheet.png"}
    assert "3: seed 1, strength 1" in done.output


def test_refusals_print_the_message_of_the_service(
    image: Path, tmp_path: Path, client: httpx.Client, form: Form
) -> None:
    mask = mask_file(tmp_path)
    Image.new("L", (40, 30), 255).save(tmp_path / "small.png")
    cases = {
        ("mask_size_mismatch", "mask"): ([tmp_path / "small.png"], []),
        ("word_not_in_target_prompt", "words"): ([mask], ["--words", "zebra"]),
        ("region_mismatch", "regions"): ([mask, mask], ["--words", "purple"]),
        ("invalid_request", "artifacts.0"): ([mask], ["--artifacts", "losses"]),
    }
    for (code, field), (masks, options) in cases.items():
        done = magedit_edit(image, masks, tmp_path / "out.png", *options)
        assert done.exit_code == 1
        assert "Traceback" not in done.output
        asked = {options[0].removeprefix("--"): [options[1]]} if options else {}
        same = Form(
            [("image", image.read_bytes()), *(("mask", each.read_bytes()) for each in masks)], form.data | asked
        )
        problem = assert_problem(same.send(client), 422, code, field)
        assert f"{problem['title']}: {problem['detail']}" in re.sub(r"\s+", " ", done.output)
    assert not (tmp_path / "out.png").exists()


def test_a_damaged_picture_is_refused(image: Path, tmp_path: Path) -> None:
    image.write_bytes(encode(Image.effect_noise(SIZE, 50))[:-500])
    done = magedit_edit(image, [mask_file(tmp_path)], tmp_path / "out.png")
    assert done.exit_code == 1
    assert "damaged" in done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--checkpoint", "/nowhere/at-all"], "there is no folder or file '/nowhere/at-all'"),
        (["--device", "tpu"], "MAGEDIT_DEVICE"),
        (["--priority", "low"], "--priority goes only with --server"),
        (["--source-edit", "0" * 32], "--source-edit goes only with --server"),
        (["--server", "http://127.0.0.1:1"], "--checkpoint goes not with --server"),
        (["--out", "result.bmp"], "--output-format"),
    ],
)
def test_wrong_use_ends_in_a_sentence(image: Path, tmp_path: Path, options: list[str], said: str) -> None:
    done = magedit_edit(image, [mask_file(tmp_path)], tmp_path / "out.png", *options)
    assert done.exit_code in {1, 2}
    assert said in re.sub(r"\s+", " ", done.output)


def test_a_mask_and_a_source_prompt_are_needed(image: Path, tmp_path: Path) -> None:
    done = magedit_edit(image, [], tmp_path / "out.png")
    assert done.exit_code == 2
    assert "no mask is given" in done.output
    done = magedit_edit(image, [mask_file(tmp_path)], tmp_path / "out.png", "--from", "")
    assert done.exit_code == 1
    assert "source_prompt" in done.output


def test_the_command_line_loads_no_torch() -> None:
    code = "import sys, cli.__main__\nassert not {'torch', 'diffusers', 'transformers', 'fastapi'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_instruction_stands_for_prompts_and_masks(image: Path, tmp_path: Path) -> None:
    def instructed(*options: str) -> Result:
        arguments = ["edit", str(image), "--out", str(tmp_path / "out.png"), "--steps", "2", "--max-iterations", "1"]
        here = ["--checkpoint", str(CHECKPOINT), "--device", "cpu"]
        return CliRunner().invoke(app, [*arguments, *here, *options], env={"COLUMNS": "300"})

    said = ["--instruction", "make the carpet purple"]
    done = instructed(*said, "--mask-shapes", '[{"points": [[30, 30, 1]]}]')
    assert done.exit_code == 0, done.output
    assert "mask 0 (points): " in done.output
    assert "purple carpet" in done.output
    assert "read 0." in done.output
    assert "mask 0 (carpet): " in instructed(*said).output
    assert "nothing to do: give --to or --instruction" in instructed(str(mask_file(tmp_path))).output
    assert "not understood" in instructed("--instruction", "make it purple").output
