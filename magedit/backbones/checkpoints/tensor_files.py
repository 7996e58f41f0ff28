"""Headers of `.safetensors` and `.ckpt` files, read without loading a tensor. Free of torch."""

from __future__ import annotations

import json
import pickletools
import struct
import zipfile
from pathlib import Path
from typing import Any

from magedit.errors import CheckpointError


def safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor of a safetensors file, from its header alone.

    Raises:
        CheckpointError: it is not a safetensors file.
    """
    return {key: tuple(each["shape"]) for key, each in _header(path)[0].items() if key != "__metadata__"}


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file (8 bytes of its length, then JSON) and where the data begins."""
    with path.open("rb") as file:
        begin = file.read(8)
        length = struct.unpack("<Q", begin)[0] if len(begin) == 8 else 0
        if not 2 <= length <= 100_000_000:
            raise CheckpointError(f"{str(path)!r} is not a safetensors file: download it again")
        try:
            header = json.loads(file.read(length))
        except ValueError as error:
            raise CheckpointError(
                f"{str(path)!r} is not a safetensors file, or truncated: download it again"
            ) from error
    return header, 8 + length


def cut_off(path: Path) -> str | None:
    """Why a safetensors file is incomplete; None: it is complete."""
    try:
        header, begin = _header(path)
    except CheckpointError:
        return "is not a safetensors file or truncated in its header"
    end = begin + max((each["data_offsets"][1] for key, each in header.items() if key != "__metadata__"), default=0)
    size = path.stat().st_size
    return f"is truncated, {size} of {end} bytes" if size < end else None


def pickled_strings(path: Path) -> list[str]:
    """The strings in a ``.ckpt`` file's pickle, which name its tensors; nothing is executed."""
    try:
        with zipfile.ZipFile(path) as archive:
            inner = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            return [arg for _, arg, _ in pickletools.genops(archive.read(inner)) if isinstance(arg, str)]
    except (zipfile.BadZipFile, StopIteration, ValueError) as error:
        raise CheckpointError(
            f"{str(path)!r} is truncated, or not a checkpoint of PyTorch 1.6 or later: download it again, or use the "
            f".safetensors file"
        ) from error
