"""What the pages say is what the code has: links, files, make targets, endpoints, defaults."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from magedit.config import EditConfig
from tests.docs.conftest import DOCS, GENERATED, PAGES, ROOT

PROSE = [page for page in PAGES if GENERATED not in page.parents]
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|\w+\.(?:py|toml|yml|yaml|cff))`")
MADE = ("demo-output/", ".state/", ".cache/")
"""Folders that exist only after a command has run."""

# CHANGELOG keeps the names of its time.
CURRENT = [page for page in PROSE if page.name != "CHANGELOG.md"]


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", CURRENT, ids=names(CURRENT))
def test_files_that_are_named_exist(page: Path) -> None:
    for name in FILE.findall(page.read_text()):
        if not name.startswith(MADE):
            assert (ROOT / name).exists() or (page.parent / name).exists(), name


@pytest.mark.parametrize("page", CURRENT, ids=names(CURRENT))
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`|; )make ([a-z-]+)", page.read_text(), re.MULTILINE)) <= targets


def test_every_endpoint_of_the_contract_is_in_the_table() -> None:
    paths = json.loads((ROOT / "openapi" / "openapi.json").read_text())["paths"]
    text = (DOCS / "http-api.md").read_text()
    documented = set()
    for method, call in re.findall(r"^\| `(GET|POST|PUT|DELETE) (/v1[^`]*)`", text, re.MULTILINE):
        whole = re.sub(r"\?.*", "", call).replace("{id}", "{edit_id}").replace("{n}", "{number}")
        documented |= {(method, re.sub(r"\[.*\]", "", whole)), (method, re.sub(r"[\[\]]", "", whole))}
    contract = {(method.upper(), path) for path, calls in paths.items() for method in calls if path.startswith("/v1")}
    assert documented == contract


def test_the_defaults_of_the_library_page_are_the_codes() -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(EditConfig)}
    text = (DOCS / "library.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| .+ \| `?([^`|]+?)`? \|$", text, re.MULTILINE)
    named = {name: value for name, value in rows if name in defaults}
    assert {"method", "inversion", "constraint", "injection", "strength"} <= set(named)
    for name, value in named.items():
        default = defaults[name]
        assert (float(value) if isinstance(default, float) else value) == default, name


def test_every_table_of_figures_is_linked_with_the_command_that_made_it() -> None:
    text = "".join(page.read_text() for page in (DOCS / "benchmarks").glob("*.md"))
    rows = dict(re.findall(r"^\| \[([\w.-]+\.csv)\]\(data/\1\) \| .+ \| (.+) \|$", text, re.MULTILINE))
    assert set(rows) == {file.name for file in (DOCS / "benchmarks" / "data").iterdir()}
    assert all("`" in command or command == "as above" for command in rows.values())


def test_the_changelog_keeps_its_form() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert "keepachangelog.com" in changelog
    assert re.search(r"^## \[Unreleased\]$", changelog, re.MULTILINE)
