from __future__ import annotations

import io

import pytest
from PIL import Image

from service.images.png import write_png


def noise(mode: str, size: tuple[int, int]) -> Image.Image:
    """A picture whose every value is used."""
    return Image.merge(mode, [Image.effect_noise(size, 90) for _ in mode])


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (64, 48), (257, 3)])
def test_every_pixel_is_preserved(mode: str, size: tuple[int, int]) -> None:
    image = noise(mode, size)
    read = Image.open(io.BytesIO(write_png(image)), formats=("PNG",))
    read.load()
    assert (read.mode, read.size, read.tobytes()) == (mode, size, image.tobytes())
    assert read.info == {}


def test_nothing_but_pixels_is_written() -> None:
    image = noise("RGB", (8, 8))
    image.info = {"icc_profile": b"profile", "comment": "secret"}
    data = write_png(image)
    assert b"secret" not in data
    assert b"iCCP" not in data


def test_size_is_close_to_pillows() -> None:
    image = Image.merge(
        "RGB", [Image.effect_noise((256, 256), 20), *noise("RGB", (32, 32)).resize((256, 256)).split()[:2]]
    )
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    assert len(write_png(image)) < 1.25 * len(buffer.getvalue())


def test_other_modes_are_refused() -> None:
    with pytest.raises(KeyError):
        write_png(Image.new("CMYK", (2, 2)))
