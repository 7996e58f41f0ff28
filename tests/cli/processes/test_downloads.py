from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from cli.processes.downloads import Downloads


def test_download_progress_follows_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    blobs = tmp_path / "models--someone--model" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "earlier").write_bytes(b"0" * 1_000_000)
    downloads = Downloads("someone/model")
    assert not downloads.moved()
    assert downloads.progress() == []
    (blobs / "weights.incomplete").write_bytes(b"0" * 3_000_000)
    assert downloads.moved()
    assert not downloads.moved()
    assert downloads.progress() == ["3 MB downloaded"]


@pytest.mark.parametrize("checkpoint", [None, "/some/folder", "model.safetensors"])
def test_local_files_are_not_a_download(checkpoint: str | None) -> None:
    downloads = Downloads(checkpoint)
    assert not downloads.moved()
    assert downloads.progress() == []
