"""The start of a process, in processes of their own: logging is configured for all of one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def started(**variables: str) -> subprocess.CompletedProcess[str]:
    code = "from jobs.process import start; print(start().threads)"
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True, check=False
    )


def test_settings_are_read_and_unknown_variables_logged() -> None:
    done = started(MAGEDIT_THREADS="3", MAGEDIT_THREAD="3")
    assert done.stdout == "3\n"
    assert "MAGEDIT_THREAD is not a setting and has no effect: did you mean MAGEDIT_THREADS?" in done.stderr


def test_invalid_setting_ends_the_process_permanently() -> None:
    done = started(MAGEDIT_THREADS="many")
    assert done.returncode == os.EX_CONFIG
    assert "MAGEDIT_THREADS" in done.stderr


@pytest.mark.parametrize("program", ["service", "worker", "worker.reaper", "worker.webhooks"])
def test_processes_answer_help_and_refuse_arguments(program: str) -> None:
    done = {
        argument: subprocess.run([sys.executable, "-m", program, argument], capture_output=True, text=True, check=False)
        for argument in ("--help", "--queue")
    }
    assert (done["--help"].returncode, done["--queue"].returncode) == (0, 2)
    assert f"usage: python -m {program} [-h]" in done["--help"].stdout
    assert "MAGEDIT_..." in done["--help"].stdout
    assert "unrecognized arguments: --queue" in done["--queue"].stderr
