"""`python -m tests.containers`: build the images and start the compose file, on an engine of its own.

What it starts lives in process, network and mount namespaces that end with it, however it ends.
"""

from __future__ import annotations

import os
import sys

from tests.containers.engine import HOST_NETWORK, obstacle


def main(arguments: list[str]) -> None:
    """Become the tests; without a way to run them, say why and end with status 0."""
    reason = obstacle()
    if reason is not None:
        print(f"containers: skipped, {reason}")  # noqa: T201
        return
    network = os.open("/proc/self/ns/net", os.O_RDONLY)
    os.set_inheritable(network, True)
    # The tests are the first process of their namespace, and keep the file open.
    os.environ[HOST_NETWORK] = f"/proc/1/fd/{network}"
    tests = [sys.executable, "-m", "pytest", "-m", "slow", "-v", "-s", "tests/containers", *arguments]
    space = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    os.execvp(space[0], [*space, *tests])


if __name__ == "__main__":
    main(sys.argv[1:])
