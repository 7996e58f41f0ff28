"""The code of the page Integrations, run against a service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.stack import Stack
from magedit.client import Client
from tests.docs.commands import titled
from tests.docs.conftest import DOCS
from tests.e2e.conftest import PROMPTS, QUICK, carpet, room

PAGE = DOCS / "integrations.md"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a picture and a mask."""
    room().save(tmp_path / "room.png")
    carpet().save(tmp_path / "mask.png")
    return tmp_path


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_the_verifier_finds_the_hash_that_the_service_tells(
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
    command = [sys.executable, "-c", verifier, "room.png", "mask.png", "result", str(edit.measures.paste_margin_px)]
    done = subprocess.run(command, cwd=pictures, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [measures.outside_sha256] * 2
    assert measures.outside_difference == 0
