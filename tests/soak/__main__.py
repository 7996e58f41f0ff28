"""`python -m tests.soak`: soak until the plan is carried out; report as JSON; status 1 if a promise was broken."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from tests.soak.plan import Plan, short
from tests.soak.soak import DiskGone, run


def main() -> int:
    """Parse the command line and soak."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--jobs", type=int, help=f"edits to get accepted (default: {Plan.jobs}, short: {short().jobs})")
    parser.add_argument("--short", action="store_true", help="few faults of each kind")
    parser.add_argument("--limit-s", type=float, default=Plan.limit_s, help="longest time of the faults")
    parser.add_argument("--folder", type=Path, default=Path(".state/soak"), help="where the soak keeps everything")
    parser.add_argument("--resume", action="store_true", help="go on with a killed soak of that folder, and its plan")
    given = parser.parse_args()
    if (given.folder / "plan.json").exists() is not given.resume:
        parser.error(f"{given.folder}: {'no soak to resume' if given.resume else 'has a soak; remove it or --resume'}")
    plan = short(given.seed) if given.short else Plan(seed=given.seed)
    plan = replace(plan, jobs=given.jobs or plan.jobs, limit_s=given.limit_s)

    def say(text: str) -> None:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    try:
        report = run(given.folder.resolve(), plan, say)
    except DiskGone as gone:
        parser.error(str(gone))
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 1 if report["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
