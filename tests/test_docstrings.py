"""Every module says in one short line what it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("magedit", "service", "jobs", "worker", "cli", "recipes", "benchmarks", "tools")
WORDS = 20
BANNED = re.compile(r"\b(whoever|whatever|none|nobody|somebody|what|shall|of ours)\b", re.IGNORECASE)


@pytest.mark.parametrize("package", PACKAGES)
def test_module_docstrings_are_short_and_plain(package: str) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        assert docstring, path
        first = docstring.split("\n\n")[0]
        assert len(first.split()) <= WORDS, (path, first)
        assert not BANNED.search(first), (path, first)
