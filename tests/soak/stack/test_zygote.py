from __future__ import annotations

import json
import subprocess
import sys

SHIFTED = """
import json, time, datetime
before = time.time()
from rq.utils import now
from tests.soak.stack.zygote import shift_clock
shift_clock(-3600.0)
shifts = [time.time() - before, time.time_ns() / 1e9 - before, now().timestamp() - before]
print(json.dumps([round(shift / 60) for shift in shifts]))
"""


def test_clock_offset_affects_worker_and_rq() -> None:
    done = subprocess.run([sys.executable, "-c", SHIFTED], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [-60, -60, -60]


def test_worker_does_not_start_without_its_fork_server() -> None:
    script = "from tests.soak.stack.zygote import _child; _child({}, parent=0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "the fork server has ended" in done.stderr
