from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.soak.stack.disk import SmallDisk


def test_shared_disk_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SmallDisk, "_mount", lambda _: False)
    with SmallDisk(tmp_path / "disk") as disk:
        assert not disk.can_be_full
        with pytest.raises(ValueError, match="folder of a larger disk"):
            disk.fill()
    assert not list(disk.folder.iterdir())


def test_full_disk_rejects_writes_until_freed(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk", "1m")
    with disk:
        if not disk.can_be_full:
            pytest.skip("no tmpfs can be mounted here")
        try:
            (disk.folder / "before").write_bytes(b"x" * 5000)
            disk.fill()
            with pytest.raises(OSError, match=r".") as caught:
                (disk.folder / "during").write_bytes(b"x" * 5000)
            assert caught.value.errno == errno.ENOSPC
            disk.free()
            (disk.folder / "after").write_bytes(b"x" * 5000)
        finally:
            disk.discard()
    assert not list(disk.folder.iterdir())
