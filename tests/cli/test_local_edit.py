"""The service's checks and the worker's edit in this process."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from cli.errors import InvalidSetting, ModelUnavailable
from cli.local_edit import LocalEditor, require_known_words
from jobs.settings import Settings
from magedit.client import ServiceError
from tests.service.conftest import mask, picture

CHECKPOINT = str(Path(__file__).parents[1] / "data" / "tiny-checkpoint")
PROMPTS: dict[str, Any] = {"source_prompt": "a red sofa", "target_prompt": "a green sofa"}
QUICK: dict[str, Any] = {**PROMPTS, "steps": 2, "max_iterations": 1}


@pytest.fixture(scope="module")
def editor() -> LocalEditor:
    return LocalEditor(Settings(checkpoint=CHECKPOINT, device="cpu"), Console(file=io.StringIO()))


def test_a_loaded_checkpoint_edits_again_and_again(editor: LocalEditor) -> None:
    first, second = (editor.edit(picture(), [mask()], **QUICK, artifacts=["attention"]) for _ in range(2))
    assert first.id != second.id
    assert first.state == second.state == "succeeded"
    assert first.measures is not None
    assert first.measures.unguided is not None
    assert first.timings.running_s is not None
    results = [editor.fetch(edit.results[0].href) for edit in (first, second)]
    assert results[0] == results[1]
    for each in first.artifacts:
        assert len(editor.fetch(each.href)) == each.size
    with Image.open(io.BytesIO(results[0])) as image:
        assert image.size == (64, 48)


def test_the_library_example_matches_the_service_bit_for_bit(
    editor: LocalEditor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "library.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for shown, here_instead in (
        ("/models/stable-diffusion-v1-4", CHECKPOINT),
        ('.to("cuda")', ""),
        ('inversion="direct"', 'inversion="direct", steps=3'),
    ):
        assert shown in example
        example = example.replace(shown, here_instead)
    monkeypatch.chdir(tmp_path)
    with Image.open(io.BytesIO(picture())) as image:
        image.convert("RGB").save("room.jpg")
    Path("carpet-mask.png").write_bytes(mask())
    exec(example, {})
    edit = editor.edit(
        Path("room.jpg").read_bytes(),
        [mask()],
        source_prompt="a room with a red carpet",
        target_prompt="a room with a yellow carpet",
        words=["yellow"],
        constraint="token",
        inversion="direct",
        steps=3,
    )
    assert edit.progress is not None
    assert (edit.progress.step, edit.progress.fraction) == (edit.progress.steps, 1.0)
    with Image.open("result.png") as library, Image.open(io.BytesIO(editor.fetch(edit.results[0].href))) as service:
        assert library.tobytes() == service.tobytes()
        assert library.tobytes() != image.convert("RGB").tobytes()


def test_a_failed_edit_says_why_as_a_worker_does(editor: LocalEditor) -> None:
    one_pixel = mask(box=(1, 1, 2, 2))
    with pytest.raises(ServiceError, match="use 'coverage'") as caught:
        editor.edit(picture(), [one_pixel], **QUICK, mask_resampling="nearest")
    assert caught.value.problem.title == "The edit could not be carried out"
    assert editor.edit(picture(), [mask()], **QUICK).state == "succeeded"


def test_previews_are_rejected_if_results_may_be_withheld(tmp_path: Path) -> None:
    editor = LocalEditor(Settings(checkpoint=CHECKPOINT, device="cpu", safety="withhold"), Console(file=io.StringIO()))
    with pytest.raises(InvalidSetting, match="MAGEDIT_SAFETY=withhold"):
        editor.edit(picture(), [mask()], **QUICK, preview=str(tmp_path / "preview.png"))
    assert not (tmp_path / "preview.png").exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"source_prompt": "a red sofa", "target_prompt": "a velvet sofa"}, "target_prompt"),
        ({"instruction": "make the sofa velvet"}, "target_prompt"),
        ({"source_prompt": "a velvet sofa", "instruction": "make the sofa red"}, "source_prompt"),
    ],
)
def test_unknown_words_are_refused_without_loading_the_checkpoint(
    tmp_path: Path, fields: dict[str, Any], field: str
) -> None:
    (tmp_path / "vocabulary.json").write_text('{"words": ["a", "red", "sofa"]}')
    settings = Settings(checkpoint=str(tmp_path))
    with pytest.raises(ServiceError) as caught:
        require_known_words(settings, fields)
    assert [(each.field, "velvet" in each.message) for each in caught.value.problem.errors] == [(field, True)]
    require_known_words(settings, {"source_prompt": "a sofa", "target_prompt": "a red sofa", "instruction": None})
    require_known_words(settings, {"instruction": "make the sofas red"})


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=str(tmp_path)):
        LocalEditor(Settings(checkpoint=str(tmp_path), device="cpu"), Console(file=io.StringIO()))


WITHOUT_FASTAPI = """
import io, sys
for name in ("fastapi", "starlette", "uvicorn"):
    sys.modules[name] = None

import cli.edit
from cli.local_edit import LocalEditor
from jobs.settings import Settings
from PIL import Image
from rich.console import Console

checkpoint, image, mask = sys.argv[1], io.BytesIO(), io.BytesIO()
Image.new("RGB", (64, 48), "red").save(image, "PNG")
Image.new("L", (64, 48), 255).save(mask, "PNG")
here = LocalEditor(Settings(checkpoint=checkpoint, device="cpu"), Console(file=io.StringIO()))
prompts = {"source_prompt": "a red sofa", "target_prompt": "a green sofa"}
done = here.edit(image.getvalue(), [mask.getvalue()], **prompts, steps=2, max_iterations=1)
print(done.state)
"""


def test_an_edit_without_a_server_needs_no_web_framework() -> None:
    program = [sys.executable, "-c", WITHOUT_FASTAPI, CHECKPOINT]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.stdout == "succeeded\n", done.stderr
