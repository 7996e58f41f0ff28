"""Pictures with transparency."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PIL import Image, ImageChops

from magedit.images.transparency import flatten, restore


def translucent() -> Image.Image:
    """Every alpha from left to right, over a colour that changes from top to bottom."""
    ramp = Image.linear_gradient("L")
    image = Image.merge("RGB", (ramp, ImageChops.invert(ramp), Image.new("L", ramp.size, 90)))
    image.putalpha(ramp.transpose(Image.Transpose.ROTATE_90))
    return image


def pixels(image: Image.Image) -> Iterator[tuple[int, ...]]:
    return iter(image.get_flattened_data())  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK"])
def test_an_opaque_picture_only_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (4, 4), (255, 0, 0)).convert(mode)
    assert flatten(image).tobytes() == image.convert("RGB").tobytes()
    edited = Image.new("RGB", (4, 4), "blue")
    assert restore(edited, image) is edited


def test_a_transparent_pixel_shows_white() -> None:
    image = Image.new("RGBA", (1, 1), (10, 20, 30, 0))
    assert flatten(image).getpixel((0, 0)) == (255, 255, 255)


def test_a_palette_with_a_transparent_colour_counts() -> None:
    image = Image.new("RGB", (4, 4), (255, 0, 0)).quantize(4)
    image.info["transparency"] = image.getpixel((0, 0))
    assert flatten(image).getpixel((1, 1)) == (255, 255, 255)


def test_unchanged_pixels_keep_hidden_colours_and_alpha() -> None:
    image = translucent()
    assert restore(flatten(image), image).tobytes() == image.tobytes()


def test_a_changed_pixel_looks_as_edited_and_keeps_its_alpha() -> None:
    image = translucent()
    edited = flatten(image)
    edited.paste((255, 250, 245), (100, 60, 200, 120))
    result = restore(edited, image)
    assert result.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    part = (100, 60, 200, 120)
    shown = flatten(result.crop(part))
    # Below an alpha of 10 no colour of 0..255 gives that shade on white; from there on it is there to a level or two.
    for (*seen,), (*wanted,), (*_, alpha) in zip(
        pixels(shown), pixels(edited.crop(part)), pixels(image.crop(part)), strict=True
    ):
        if alpha >= 10:
            assert max(abs(a - b) for a, b in zip(seen, wanted, strict=True)) <= 1
    # Elsewhere nothing moved.
    for copy in (result, image):
        copy.paste((0, 0, 0, 0), part)
    assert result.tobytes() == image.tobytes()


def test_nothing_shows_of_a_fully_transparent_pixel() -> None:
    image = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    assert restore(Image.new("RGB", (2, 1), "red"), image).tobytes() == image.tobytes()
