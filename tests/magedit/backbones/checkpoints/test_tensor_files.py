"""Headers of tensor files, read without loading tensors."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from magedit.backbones.checkpoints.tensor_files import cut_off, pickled_strings, safetensors_shapes
from magedit.errors import CheckpointError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(5)}, path, metadata={"format": "pt"})
    return path


def test_shapes_come_from_the_header(saved: Path) -> None:
    assert safetensors_shapes(saved) == {"a": (2, 3), "b": (5,)}
    assert cut_off(saved) is None


def test_a_truncated_file_is_recognised(saved: Path) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[:-4])
    assert cut_off(saved) == f"is truncated, {len(whole) - 4} of {len(whole)} bytes"
    saved.write_bytes(whole[:20])
    assert cut_off(saved) == "is not a safetensors file or truncated in its header"
    for content in (whole[:20], b"", b"<html>not a model</html>"):
        saved.write_bytes(content)
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            safetensors_shapes(saved)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_strings_of_a_pickle_are_read_without_executing_it(tmp_path: Path) -> None:
    path, touched = tmp_path / "model.ckpt", tmp_path / "touched"
    torch.save({"state_dict": {"conv.weight": torch.zeros(2)}, "trap": Trap(touched)}, path)
    assert {"state_dict", "conv.weight"} <= set(pickled_strings(path))
    assert not touched.exists()


def test_a_file_of_another_format_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    for content in (b"", b"junk", pickle.dumps({"a": 1})):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"not a checkpoint of PyTorch 1\.6 or later"):
            pickled_strings(path)
