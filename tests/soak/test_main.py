from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("left", "option", "said"), [(True, [], "--resume"), (False, ["--resume"], "no soak")])
def test_a_soak_is_neither_overwritten_nor_invented(left: bool, option: list[str], said: str, tmp_path: Path) -> None:
    if left:
        (tmp_path / "plan.json").write_text("{}")
    command = [sys.executable, "-m", "tests.soak", "--folder", str(tmp_path), *option]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
