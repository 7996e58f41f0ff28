"""LoRA files in a folder by name, each with a weight (Hu et al., arXiv 2106.09685). Free of torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from annotated_types import MaxLen
from pydantic import StringConstraints

from magedit.errors import InvalidParameter

SUFFIX: Final = ".safetensors"
WEIGHT_MAX: Final = 4.0

LORAS_MAX: Final = 8
"""LoRAs of one edit, at most."""

LoraSpec = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]{0,63}(:-?[0-4](\.\d{1,4})?)?$"), MaxLen(72)]


@dataclass(frozen=True)
class Lora:
    """A LoRA file and its weight; 1: as trained."""

    file: Path
    weight: float = 1.0


def read_spec(spec: str) -> tuple[str, float]:
    """Name and weight of ``name`` or ``name:0.8``.

    Raises:
        InvalidParameter: the weight is not within -4..4.
    """
    name, _, weight = spec.partition(":")
    value = float(weight or 1.0)
    if abs(value) > WEIGHT_MAX:
        raise InvalidParameter(f"{spec!r}: a LoRA's weight is within -{WEIGHT_MAX:g}..{WEIGHT_MAX:g}", field="lora")
    return name, value


def names_in(folder: Path | None) -> tuple[str, ...]:
    """The names that ``folder`` offers, in order; none without a folder."""
    if folder is None or not folder.is_dir():
        return ()
    return tuple(sorted(each.stem for each in folder.iterdir() if each.suffix == SUFFIX and each.is_file()))


def check_loras(specs: Iterable[str], offered: Collection[str], model: str) -> None:
    """Check that ``model`` offers each of ``specs`` and that their names are distinct.

    Raises:
        InvalidParameter: a name is unknown or repeated; lists the available ones.
    """
    seen: set[str] = set()
    for spec in specs:
        name, _ = read_spec(spec)
        if name not in offered:
            there = f"it has {', '.join(offered)}" if offered else "it has no LoRAs (MAGEDIT_LORA_DIR)"
            raise InvalidParameter(f"model {model!r} has no LoRA {name!r}; {there}", field="lora")
        if name in seen:
            raise InvalidParameter(f"LoRA {name!r} is named twice: add up its weights", field="lora")
        seen.add(name)


def find_loras(specs: Iterable[str], folder: Path | None) -> tuple[Lora, ...]:
    """The files of checked ``specs`` in ``folder``, in their order; those of weight 0 are left out.

    Raises:
        InvalidParameter: a file no longer exists.
    """
    read = [read_spec(spec) for spec in specs]
    check_loras(specs, names_in(folder), "this checkpoint")
    assert folder is not None or not read
    return tuple(Lora(folder / f"{name}{SUFFIX}", weight) for name, weight in read if folder and weight)


def identity(loras: Iterable[Lora]) -> list[tuple[str, int, int, float]]:
    """Identity of these files and weights: name, size, modification time."""
    found = []
    for each in loras:
        about = each.file.stat()
        found.append((each.file.name, about.st_size, about.st_mtime_ns, each.weight))
    return found
