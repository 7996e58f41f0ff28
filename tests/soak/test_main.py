from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.evidence.journal import Journal
from tests.soak.plan import short


@pytest.mark.parametrize(("left", "option", "said"), [(True, [], "--resume"), (False, ["--resume"], "no soak")])
def test_soak_rejects_an_existing_folder_and_resume_a_missing_one(
    left: bool, option: list[str], said: str, tmp_path: Path
) -> None:
    if left:
        (tmp_path / "plan.json").write_text("{}")
    command = [sys.executable, "-m", "tests.soak", "--folder", str(tmp_path), *option]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr


def test_soak_reports_a_missing_disk(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(short().to_json()))
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write("disk", tmpfs=True)
    journal.close()
    (tmp_path / "objects").mkdir()
    command = [sys.executable, "-m", "tests.soak", "--folder", str(tmp_path), "--resume"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pictures of this soak were in memory (tmpfs) and are gone" in done.stderr
    assert not (tmp_path / "report.json").exists()
