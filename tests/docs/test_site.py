"""The built site asks no other host for anything and runs under a strict Content-Security-Policy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.conftest import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, env={"NO_MKDOCS_2_WARNING": "1"}, check=True)
    return folder


def test_nothing_comes_from_another_host(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]* src=\"([^\"]+)\"", text)
        loaded += re.findall(r"<link[^>]* rel=\"(?:stylesheet|icon|preconnect)\"[^>]*>", text)
        assert loaded
        assert not [each for each in loaded if "//" in each], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", sheet.read_text()), sheet


def test_no_script_is_inline(site: Path) -> None:
    for page in site.rglob("*.html"):
        scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page.read_text(), re.DOTALL)
        assert scripts
        for attributes, code in scripts:
            assert not code.strip() or 'type="application/json"' in attributes, page


def test_tables_of_figures_are_part_of_the_site(site: Path) -> None:
    assert {file.name for file in (site / "benchmarks" / "data").iterdir()} == {
        file.name for file in (ROOT / "docs" / "benchmarks" / "data").iterdir()
    }
