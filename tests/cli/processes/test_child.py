"""What `cli.processes.child` starts ends with its parent, even if that is killed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cli.processes.child import main
from tests.conftest import alive, wait_until

# A parent that starts a child under `cli.processes.child`, tells its pid, and waits.
PARENT = """
import os, subprocess, sys
command = [sys.executable, '-m', 'cli.processes.child', str(os.getpid()), sys.executable, '-c',
           'import time; print("up", flush=True); time.sleep(600)']
child = subprocess.Popen(command, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def test_it_dies_with_a_killed_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
        parent.wait()
        wait_until(lambda: not alive(child), what="the child's end")


def test_it_is_the_command_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.processes.child", str(os.getpid()), sys.executable, "-c", "raise SystemExit(7)"],
        check=False,
    )
    assert done.returncode == 7


def test_it_does_not_start_without_its_parent() -> None:
    with pytest.raises(SystemExit) as ended:
        # No process is its own parent; pid 1 may be, of one that outlived its shell.
        main([str(os.getpid()), "false"])
    assert ended.value.code == 1
