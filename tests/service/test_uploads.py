"""Uploaded pictures: every rule of `service.uploads`, with files as callers send them."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from service.errors import (
    ImageTooLarge,
    RequestError,
    UnreadableImage,
    UnsupportedImageType,
    UploadTooLarge,
)
from service.uploads import UploadLimits, read_image, read_mask_image, to_png
from tests.service.conftest import encode, picture

LIMITS = UploadLimits(max_bytes=200_000, max_pixels=100_000, max_side=1000)


def read(data: bytes) -> Image.Image:
    return read_image(data, field="image", limits=LIMITS)


@pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP"])
def test_the_three_formats(encoding: str) -> None:
    image = read(encode(Image.new("RGB", (20, 10), (200, 100, 50)), encoding))
    assert (image.mode, image.size) == ("RGB", (20, 10))
    pixel = image.getpixel((5, 5))
    assert isinstance(pixel, tuple)
    assert all(abs(a - b) <= 4 for a, b in zip(pixel, (200, 100, 50), strict=True))


@pytest.mark.parametrize("encoding", ["GIF", "BMP", "TIFF", "PPM", "PDF", "ICO"])
def test_other_formats_are_not_opened(encoding: str) -> None:
    with pytest.raises(UnsupportedImageType, match="PNG, JPEG or WebP") as caught:
        read(encode(Image.new("RGB", (20, 10)), encoding))
    assert caught.value.field == "image"


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", b"%PDF-1.7", b"\x89PNG"])
def test_no_picture_at_all(data: bytes) -> None:
    with pytest.raises(UnsupportedImageType):
        read(data)


@pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_truncated_files(encoding: str, kept: float) -> None:
    noise = Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3))
    data = encode(noise, encoding)
    with pytest.raises(UnreadableImage):
        read(data[: int(len(data) * kept)])


def test_limits_name_the_figures() -> None:
    with pytest.raises(UploadTooLarge, match="200000"):
        read(picture() + b"\0" * 200_000)
    with pytest.raises(ImageTooLarge, match="400x300"):
        read(picture((400, 300)))
    with pytest.raises(ImageTooLarge, match="1001x2"):
        read(picture((1001, 2)))


@pytest.mark.parametrize("side", [12_000, 30_000])
def test_a_bomb_is_refused_before_it_is_decoded(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.new("1", (side, side))) if side < 15_000 else _declared(side)
    monkeypatch.setattr(Image.Image, "load", _fail)
    with pytest.raises(ImageTooLarge):
        read(data)


def _declared(side: int) -> bytes:
    """A small PNG whose header declares ``side`` x ``side`` pixels."""
    import struct
    import zlib

    data = picture((8, 8))
    header = struct.pack(">II", side, side) + data[24:29]
    return data[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + data[33:]


def _fail(*_: object) -> None:
    raise AssertionError("decoded")


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (20, 10), "white")
    image.paste("black", (0, 0, 5, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: rotate by 90 degrees clockwise
    upright = read(encode(image, exif=exif))
    assert upright.size == (10, 20)
    assert upright.getpixel((5, 1)) == (0, 0, 0)
    assert upright.getpixel((5, 18)) == (255, 255, 255)


def test_metadata_does_not_survive() -> None:
    text = PngInfo()
    text.add_text("Comment", "where I live")
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    stored = to_png(read(encode(Image.new("RGB", (8, 8)), pnginfo=text, exif=exif)))
    assert b"where I live" not in stored
    assert Image.open(io.BytesIO(stored)).info == {}


def test_trailing_data_does_not_survive() -> None:
    stored = to_png(read(picture() + b"<script>alert(1)</script>"))
    assert b"script" not in stored


def test_a_profile_is_converted_to_srgb() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    same = read(encode(Image.new("RGB", (8, 8), (10, 200, 90)), icc_profile=profile.tobytes()))
    assert same.getpixel((0, 0)) == (10, 200, 90)
    assert "icc_profile" not in Image.open(io.BytesIO(to_png(same))).info


def test_a_damaged_profile_is_ignored() -> None:
    image = read(encode(Image.new("RGB", (8, 8), (10, 200, 90)), icc_profile=b"no profile"))
    assert image.getpixel((0, 0)) == (10, 200, 90)


def test_transparency_is_composited_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    flat = read(encode(image))
    assert (flat.getpixel((0, 0)), flat.getpixel((1, 0))) == ((255, 0, 0), (255, 255, 255))


def _palette() -> Image.Image:
    return Image.new("RGB", (4, 4), (255, 0, 0)).quantize(4)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Image.new("L", (4, 4), 77), (77, 77, 77)),
        (lambda: Image.new("1", (4, 4), 1), (255, 255, 255)),
        (lambda: Image.new("LA", (4, 4), (77, 255)), (77, 77, 77)),
        (lambda: Image.new("LA", (4, 4), (77, 0)), (255, 255, 255)),
        (lambda: Image.new("I;16", (4, 4), 65535), (255, 255, 255)),
        (lambda: Image.new("I;16", (4, 4), 32896), (128, 128, 128)),
        (_palette, (255, 0, 0)),
    ],
    ids=["grey", "bilevel", "grey opaque", "grey transparent", "16 bit white", "16 bit middle", "palette"],
)
def test_other_modes_become_rgb(make: Callable[[], Image.Image], expected: tuple[int, int, int]) -> None:
    image = read(encode(make()))
    assert (image.mode, image.getpixel((1, 1))) == ("RGB", expected)


def test_cmyk_becomes_rgb() -> None:
    image = read(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = image.getpixel((4, 4))  # type: ignore[misc]
    assert image.mode == "RGB"
    assert red > 200 > 60 > max(green, blue)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    image = read(encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    assert image.getpixel((4, 4)) == (255, 0, 0)


def test_a_mask_keeps_its_alpha() -> None:
    mask = read_mask_image(encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0))), field="mask", limits=LIMITS)
    assert mask.mode == "RGBA"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_never_raise_anything_else(data: st.DataObject) -> None:
    """Flipped bytes anywhere: a picture or an error of ours, never another exception."""
    encoding = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP"]))
    content = bytearray(encode(Image.linear_gradient("L").resize((24, 24)).convert("RGB"), encoding))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(RequestError):
        assert read(bytes(content)).mode == "RGB"
