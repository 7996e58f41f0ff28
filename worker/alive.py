"""`python -m worker.alive`: liveness probe that checks the age of the heartbeat file, without Redis or storage."""

from __future__ import annotations

import sys
import time

from jobs.settings import Settings
from worker.sd_notify import silence_s


def problem(settings: Settings) -> str | None:
    """The problem with the heartbeat file; None while it is fresh."""
    if settings.heartbeat_file is None:
        return "MAGEDIT_HEARTBEAT_FILE is not set: set the same file for this command and the process that it checks"
    try:
        age_s = time.time() - settings.heartbeat_file.stat().st_mtime
    except OSError as error:
        return f"no sign of life yet: {error}"
    if age_s > silence_s(settings):
        return f"the last sign of life is {age_s:.0f} s old; {silence_s(settings):g} s are allowed"
    return None


if __name__ == "__main__":
    sys.exit(problem(Settings()))
