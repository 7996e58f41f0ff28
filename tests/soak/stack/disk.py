"""A disk that can be full: a small tmpfs where this user may mount one (root with CAP_SYS_ADMIN), else a folder."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Self

SIZE = "96m"
"""Of the tmpfs: a thousand edits with their inputs take half of it."""

_PIECE = bytes(2**20)


class SmallDisk:
    """A context manager. What is on a tmpfs survives this process (not the machine) until `discard`."""

    def __init__(self, folder: Path, size: str = SIZE) -> None:
        self.folder, self._size = folder, size
        self._ballast = folder / "ballast"
        self.can_be_full = False

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        self.can_be_full = self.folder.is_mount() or self._mount()
        self.free()
        return self

    def __exit__(self, *_: object) -> None:
        self.free()

    def _mount(self) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", f"size={self._size}", "tmpfs", str(self.folder)]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False

    def fill(self) -> None:
        """Leave no byte free. Raises ValueError where the disk is none of its own: that of others is not filled."""
        if not self.can_be_full:
            raise ValueError(f"{self.folder} is a folder of a larger disk")
        # ENOSPC ends it.
        with suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
            while True:
                os.write(ballast.fileno(), _PIECE)

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)

    def discard(self) -> None:
        """Unmount it; everything on it is gone."""
        if self.folder.is_mount():
            subprocess.run(["umount", str(self.folder)], check=True)
