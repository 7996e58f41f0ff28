"""One worker with a checkpoint of each family: an edit of each over HTTP, by the command line and on the page."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, expect
from rich.console import Console

from cli.local_edit import LocalEditor
from cli.processes.stack import Stack
from jobs.settings import Settings
from magedit.client import Client
from magedit.images.masks import outside_difference
from tests.conftest import CHECKPOINT
from tests.magedit.backbones.sdxl.tiny import sdxl_checkpoint
from tests.magedit.tiny import copy_of, write_flux, write_sd3
from tests.service.conftest import mask, picture
from tests.service.page.conftest import WIDE, is_submission, visiting
from tests.service.page.test_masks import SIZE, drag

FAMILIES: dict[str, Callable[[Path], Path]] = {
    "sd": lambda folder: copy_of(CHECKPOINT, folder),
    "sdxl": sdxl_checkpoint,
    "sd3": write_sd3,
    "flux": write_flux,
}
SOURCE, TARGET = "a room with a red sofa", "a room with a green sofa"
OWN: FilePayload = {"name": "room.png", "mimeType": "image/png", "buffer": picture(SIZE)}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A tiny checkpoint of each family that edits in two steps."""
    folder = tmp_path_factory.mktemp("families")
    written = {name: write(folder / name) for name, write in FAMILIES.items()}
    for checkpoint in written.values():
        index = checkpoint / "model_index.json"
        quick = {"edit_defaults": {"steps": 2, "max_iterations": 1}}
        index.write_text(json.dumps(json.loads(index.read_text()) | quick))
    return {name: str(checkpoint) for name, checkpoint in written.items()}


@pytest.fixture(scope="module")
def families(checkpoints: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service whose one worker has them all."""
    (model, checkpoint), *further = checkpoints.items()
    settings = Settings(
        api_port=0,
        state_dir=tmp_path_factory.mktemp("stack"),
        device="cpu",
        model=model,
        default_model=model,
        checkpoint=checkpoint,
        further_models=dict(further),
    )
    with Stack(settings, workers=1, embedded=True) as stack:
        stack.wait_ready()
        yield stack


def assert_local(result: bytes) -> None:
    """The picture has changed, and inside the mask alone."""
    with Image.open(io.BytesIO(result)) as edited, Image.open(io.BytesIO(picture())) as before:
        assert edited.convert("RGB").tobytes() != before.convert("RGB").tobytes()
        with Image.open(io.BytesIO(mask())) as where:
            assert outside_difference(before.convert("RGB"), edited.convert("RGB"), where.convert("L"), 8) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_over_http(families: Stack, family: str) -> None:
    with Client(families.url) as client:
        (model,) = [each for each in client.models() if each.name == family]
        assert str(model.family).startswith(family)

        given: dict[str, Any] = {"source_prompt": SOURCE, "target_prompt": TARGET, "model": family}
        done = client.wait(client.submit(picture(), [mask()], **given).id)
        assert done.state == "succeeded", done.problem
        assert done.measures is not None
        assert done.measures.words == (("green sofa",),)
        assert_local(client.result(done.id))


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_server(checkpoints: dict[str, str], family: str) -> None:
    editor = LocalEditor(Settings(checkpoint=checkpoints[family], device="cpu"), Console(file=io.StringIO()))
    done = editor.edit(picture(), [mask()], source_prompt=SOURCE, target_prompt=TARGET)
    assert done.state == "succeeded", done.problem
    assert_local(editor.fetch(done.results[0].href))


@pytest.mark.parametrize("family", FAMILIES)
def test_on_the_page(browser: Browser, families: Stack, family: str) -> None:
    with visiting(browser, families.url, **WIDE) as page:
        page.set_input_files("#image-file", OWN)
        drag(page, (60, 60), (120, 100))
        page.fill("#source_prompt", SOURCE)
        page.fill("#target_prompt", TARGET)
        page.evaluate("for (const each of document.querySelectorAll('#ask details')) each.open = true")
        # The default model has no name in the list.
        page.locator("#field-model").select_option("" if family == "sd" else family)
        with page.expect_response(is_submission) as posted:
            page.click("#submit")
        assert posted.value.json()["model"] == family
        expect(page.locator("#after")).to_be_in_viewport()
        expect(page.locator("#after")).to_have_js_property("complete", True)
