"""The browser of the page's tests: Chromium, found or installed.

    python -m tests.service.page.browser     # what `make test` runs first

It is never downloaded by Playwright: a browser of the distribution gets its security updates and its libraries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NONE_WANTED = "MAGEDIT_NO_BROWSER"
CURE = (
    "the tests of the page need Chromium: install it (Debian: apt-get install chromium), "
    f"or set {NONE_WANTED}=1 to leave these tests out"
)


def find() -> str | None:
    """Where Chromium is, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def unwanted() -> bool:
    """Whether the caller leaves the tests of the page out."""
    return os.environ.get(NONE_WANTED, "") not in {"", "0"}


def install() -> None:
    """Install Chromium as root on Debian and its like.

    Raises:
        SystemExit: there is no Chromium afterwards; says what to do.
    """
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in ("update", "install --yes --no-install-recommends chromium"):
            # What fails here shows in the end: there is no browser.
            subprocess.run([apt, "--quiet", "--quiet", *command.split()], env=quiet, check=False)
    if find() is None:
        sys.exit(CURE)


if __name__ == "__main__" and not unwanted() and find() is None:
    install()
