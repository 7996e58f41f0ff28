"""Run a command that ends with its parent: `python -m cli.processes.child PARENT_PID COMMAND...`.

A supervisor that is SIGKILLed cannot stop what it started. On Linux the kernel does it: PR_SET_PDEATHSIG (prctl(2))
survives execve, so setting it here, in the child's own process, needs no code between fork and exec in a supervisor
that may have threads. Elsewhere the command runs without it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(arguments: list[str]) -> None:
    """Replace this process by the command in ``arguments[1:]``; ``arguments[0]`` is the parent's process id."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        # The parent died before prctl took effect.
        raise SystemExit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
