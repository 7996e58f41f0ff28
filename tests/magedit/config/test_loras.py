"""Names of LoRA files with weights: how they are read, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from magedit.config import EditConfig
from magedit.config.loras import Lora, check_loras, find_loras, identity, names_in, read_spec
from magedit.errors import InvalidParameter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("style.safetensors", "add.detail.safetensors", "notes.txt"):
        (tmp_path / name).write_bytes(b"1")
    return tmp_path


def test_a_name_has_a_weight_or_counts_whole() -> None:
    assert read_spec("style:0.8") == ("style", 0.8)
    assert read_spec("add.detail:-1") == ("add.detail", -1.0)
    assert read_spec("style") == ("style", 1.0)


@pytest.mark.parametrize("spec", ["../style", "style:", "style:x", "a/b", "", "style:9", "style:1:2", ".hidden"])
def test_an_invalid_name_or_weight_is_refused(spec: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        EditConfig(lora=(spec,))
    assert str(refused.value.field).partition(".")[0] == "lora"


def test_a_weight_out_of_its_bounds_is_refused() -> None:
    with pytest.raises(InvalidParameter, match=r"within -4\.\.4"):
        read_spec("style:4.5")


def test_a_folder_offers_its_safetensors_files(folder: Path) -> None:
    assert names_in(folder) == ("add.detail", "style")
    assert names_in(None) == names_in(folder / "none") == ()
    assert find_loras(("style:0.5", "add.detail:0"), folder) == (Lora(folder / "style.safetensors", 0.5),)
    assert find_loras((), None) == ()


@pytest.mark.parametrize(
    ("specs", "told"),
    [
        (("lost",), "has no LoRA 'lost'; it has add.detail, style"),
        (("style:0.2", "style"), "LoRA 'style' is named twice"),
    ],
)
def test_a_name_that_is_not_offered_is_refused(folder: Path, specs: tuple[str, ...], told: str) -> None:
    with pytest.raises(InvalidParameter, match=told):
        check_loras(specs, names_in(folder), "xl")
    with pytest.raises(InvalidParameter, match=r"it has no LoRAs \(MAGEDIT_LORA_DIR\)"):
        check_loras(specs[:1], (), "xl")


def test_another_file_of_the_same_name_is_distinguished(folder: Path) -> None:
    loras = find_loras(("style",), folder)
    before = identity(loras)
    assert identity(loras) == before
    os.utime(loras[0].file, ns=(1, 1))
    assert identity(loras) != before
    assert identity(find_loras(("style:0.5",), folder)) != identity(loras)
