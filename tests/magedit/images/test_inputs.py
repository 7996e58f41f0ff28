"""Pictures as library callers hand them over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from magedit.errors import InvalidEdit
from magedit.images.inputs import as_image, as_picture, eight_bits


def test_arrays_paths_and_images_are_the_same_picture(tmp_path: Path) -> None:
    array = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    image = Image.fromarray(array)
    image.save(tmp_path / "it.png")
    for each in (image, array, tmp_path / "it.png", str(tmp_path / "it.png"), array / np.float64(255)):
        assert np.array_equal(np.asarray(as_image(each, "image")), array)
        assert as_picture(each, "masks").size == (6, 4)
    mask = np.zeros((4, 6), dtype=bool)
    mask[1, 2] = True
    assert np.asarray(as_image(mask, "masks")).max() == 255


def test_a_file_is_rotated_by_its_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert as_image(tmp_path / "turned.jpg", "image").size == (4, 6)


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_sixteen_bit_grey_keeps_its_greys(mode: str) -> None:
    values = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    image = Image.fromarray(values) if mode == "I;16" else Image.fromarray(values.astype(np.int32))
    assert image.mode == mode
    assert np.array_equal(np.asarray(eight_bits(image)), np.arange(256).reshape(16, 16))
    assert as_image(image, "image").mode == "L"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "`image` is NoneType: pass a Pillow image, a numpy array or a path"),
        (b"png", "`image` is bytes: pass"),
        ("no/such.png", "`image`: 'no/such.png' cannot be read: No such file or directory"),
        (Path(__file__), "is not a picture that Pillow can read"),
        (np.zeros((3, 8, 8), np.uint8), r"`image` is an array of shape \(3, 8, 8\): use \(height, width\)"),
        (np.full((8, 8), 300.0), r"floats that are not all in 0\.\.1: scale it"),
        (np.full((8, 8), np.nan), r"floats that are not all in 0\.\.1: scale it"),
        (np.zeros((8, 8), np.uint16), "`image` is an array of uint16: use uint8"),
        (Image.new("F", (8, 8)), "mode F, whose range is unknown"),
    ],
)
def test_other_types_than_pictures_are_refused_in_a_sentence(wrong: Any, message: str) -> None:
    with pytest.raises(InvalidEdit, match=message) as caught:
        as_image(wrong, "image")
    assert caught.value.field == "image"
