"""Progress of a checkpoint's download from the Hugging Face hub, read from the hub's cache folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

MB = 1_000_000


class Downloads:
    """Watches the cache folder of one checkpoint; idle if the checkpoint is not a hub id."""

    def __init__(self, checkpoint: str | None) -> None:
        self._folder = _cache_folder(checkpoint) if checkpoint else None
        self._before = self._size()
        self._began = self._before

    def moved(self) -> bool:
        """Whether bytes have arrived since the last call."""
        before, self._before = self._before, self._size()
        return self._before > before

    def progress(self) -> list[str]:
        """A sentence with the downloaded megabytes, if any."""
        loaded = self._before - self._began
        return [f"{loaded / MB:.0f} MB downloaded"] if loaded > 0 else []

    def _size(self) -> int:
        total = 0
        if self._folder is not None:
            for file in self._folder.rglob("*"):
                # The hub client renames a file when it is complete.
                with suppress(OSError):
                    total += 0 if file.is_symlink() or file.is_dir() else file.stat().st_size
        return total


def _cache_folder(checkpoint: str) -> Path | None:
    if Path(checkpoint).exists() or checkpoint.count("/") != 1:
        return None
    try:
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name
    except ImportError:
        return None
    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=checkpoint, repo_type="model")
