"""The code of the page Integrations, run against a service."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from PIL import Image, ImageChops

from cli.processes.stack import Stack
from magedit.client import Client
from magedit.images.masks import outside_difference
from tests.docs.commands import titled
from tests.docs.conftest import DOCS, ROOT
from tests.e2e.conftest import PROMPTS, QUICK, SIZE, carpet, room

PAGE = DOCS / "integrations.md"
NPM = shutil.which("npm")
CLIENT = ROOT / "tools" / "openai"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a picture and a mask, white where to edit."""
    room().save(tmp_path / "room.png")
    carpet().save(tmp_path / "mask.png")
    return tmp_path


@pytest.fixture
def transparent(pictures: Path) -> Path:
    """The same with a mask as OpenAI's: transparent where to edit."""
    mask = Image.new("RGBA", SIZE)
    mask.putalpha(ImageChops.invert(carpet()))
    mask.save(pictures / "mask.png")
    return pictures


def run(command: Sequence[str], folder: Path) -> str:
    """What a program says; it must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def snippet(title: str, stack: Stack) -> str:
    """A snippet of the page for this service, with the shortest edit."""
    return titled(PAGE, title).replace("http://127.0.0.1:8000", stack.url)


def assert_edited(folder: Path, stack: Stack) -> None:
    """The result is an edit of the picture, and the service knows it as one."""
    with Client(stack.url) as client:
        edit = client.list(limit=1).edits[0]
    assert (edit.state, edit.seed) == ("succeeded", 0)
    assert edit.measures is not None
    with Image.open(folder / "result.png") as result:
        assert result.size == SIZE
        assert outside_difference(room(), result.convert("RGB"), carpet(), edit.measures.paste_margin_px) == 0
        assert ImageChops.difference(room(), result.convert("RGB")).getbbox() is not None


def test_the_python_client_edits(s3_stack: Stack, transparent: Path) -> None:
    code = snippet("openai_edit.py", s3_stack).replace(
        "extra_body={", 'extra_body={"steps": "4", "max_iterations": "1", '
    )
    run([sys.executable, "-c", code], transparent)
    assert_edited(transparent, s3_stack)


def test_the_python_client_edits_without_a_mask(s3_stack: Stack, pictures: Path) -> None:
    code = snippet("openai_maskless.py", s3_stack).replace(
        "extra_body={", 'extra_body={"steps": "4", "max_iterations": "1", '
    )
    said = run([sys.executable, "-c", code], pictures)
    with Client(s3_stack.url) as client:
        edit = client.list(limit=1).edits[0]
        found = Image.open(io.BytesIO(client.fetch(f"/v1/masks/{said.split()[-1]}/candidates/0")))
    assert found.getbbox() is not None
    assert edit.measures is not None
    with Image.open(pictures / "result.png") as result:
        assert outside_difference(room(), result.convert("RGB"), found, edit.measures.paste_margin_px) == 0


@pytest.mark.skipif(NPM is None, reason="there is no npm: OpenAI's client for JavaScript cannot be installed")
def test_the_javascript_client_edits(s3_stack: Stack, transparent: Path) -> None:
    assert NPM is not None
    run([NPM, "ci", "--no-audit", "--no-fund", "--silent"], CLIENT)
    (transparent / "node_modules").symlink_to(CLIENT / "node_modules")
    code = snippet("openai-edit.mjs", s3_stack).replace(
        "  stream: true", '  steps: "4",\n  max_iterations: "1",\n  stream: true'
    )
    (transparent / "edit.mjs").write_text(code)
    run(["node", "edit.mjs"], transparent)
    assert_edited(transparent, s3_stack)


def test_the_configuration_of_litellm_names_a_model_and_an_address() -> None:
    (model,) = yaml.safe_load(titled(PAGE, "litellm.yaml"))["model_list"]
    assert set(model["litellm_params"]) == {"model", "api_base", "api_key"}


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_the_verifier_reproduces_the_services_hash(
    mode: str, output_format: str, s3_stack: Stack, pictures: Path
) -> None:
    room().convert(mode).save(pictures / "room.png")
    verifier = titled(PAGE, "verify.py")
    assert len([line for line in verifier.splitlines() if line]) <= 10
    with Client(s3_stack.url) as client:
        asked = client.submit(
            pictures / "room.png", [pictures / "mask.png"], **PROMPTS, **QUICK, output_format=output_format
        )
        edit = client.wait(asked.id)
        (pictures / "result").write_bytes(client.result(edit.id))
    assert edit.measures is not None
    measures = edit.measures.results[0]
    margin = str(edit.measures.paste_margin_px)
    said = run([sys.executable, "-c", verifier, "room.png", "mask.png", "result", margin], pictures)
    assert said.split() == [measures.outside_sha256] * 2
    assert measures.outside_difference == 0
