"""The example requests can be read by their interpreters; tests/e2e runs them."""

from __future__ import annotations

import subprocess
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "openapi" / "examples"


def test_every_example_is_known_here() -> None:
    assert {each.name for each in EXAMPLES.iterdir()} == {"edit.sh", "edit.py"}


def test_syntax() -> None:
    subprocess.run(["sh", "-n", EXAMPLES / "edit.sh"], check=True)
    compile((EXAMPLES / "edit.py").read_text(), "edit.py", "exec")
