"""Uploaded pictures: every rule of `service.images.uploads`, with files as callers send them."""

from __future__ import annotations

import base64
import io
import random
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile
from PIL.PngImagePlugin import PngInfo

from service.errors import (
    ImageTooCostly,
    ImageTooLarge,
    RequestError,
    UnreadableImage,
    UnsupportedImageType,
    UploadTooLarge,
)
from service.images import uploads
from service.images.png import write_png
from service.images.uploads import MAX_SCANS, UploadLimits, read_image, read_mask_image
from tests.service.conftest import encode, picture
from tests.service.images.profiles import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    cmyk_profile,
    gamma_curve,
    grey_profile,
    rgb_profile,
    srgb_curve,
)

LIMITS = UploadLimits(max_bytes=200_000, max_pixels=100_000, max_side=1000)


def read(data: bytes) -> Image.Image:
    return read_image(data, field="image", limits=LIMITS)


@pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP"])
def test_png_jpeg_and_webp_are_accepted(encoding: str) -> None:
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


@pytest.mark.parametrize("data", [b"\0", b"GIF89a", b"<svg/>", b"%PDF-1.7", b"\x89PNG"])
def test_missing_picture_is_rejected(data: bytes) -> None:
    with pytest.raises(UnsupportedImageType):
        read(data)


def test_an_empty_file_has_a_specific_error() -> None:
    with pytest.raises(UnreadableImage, match="is an empty file: it has 0 bytes"):
        read(b"")


@pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP"])
def test_the_error_for_base64_text_names_it(encoding: str) -> None:
    text = base64.b64encode(encode(Image.new("RGB", (20, 10)), encoding))
    for data in (text, b"data:image/png;base64," + text):
        with pytest.raises(UnsupportedImageType, match="is base64 text"):
            read(data)


@pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_truncated_files(encoding: str, kept: float) -> None:
    noise = Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3))
    data = encode(noise, encoding)
    with pytest.raises(UnreadableImage):
        read(data[: int(len(data) * kept)])


def test_errors_name_the_limits() -> None:
    with pytest.raises(UploadTooLarge, match="200000"):
        read(picture() + b"\0" * 200_000)
    with pytest.raises(ImageTooLarge, match="400x300"):
        read(picture((400, 300)))
    with pytest.raises(ImageTooLarge, match="1001x2"):
        read(picture((1001, 2)))


@pytest.mark.parametrize("side", [12_000, 30_000])
def test_decompression_bomb_is_rejected_before_decoding(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.new("1", (side, side))) if side < 15_000 else _declared(side)
    monkeypatch.setattr(Image.Image, "load", _fail)
    with pytest.raises(ImageTooLarge):
        read(data)


def scans(image: Image.Image, more: int, **options: Any) -> bytes:
    """A progressive JPEG whose last scan is there ``more`` times more."""
    data = encode(image, "JPEG", progressive=True, **options)
    return data[:-2] + data[data.rfind(b"\xff\xda") : -2] * more + data[-2:]


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = Image.new("L", (256, 256), 128)
    # An ordinary progressive encoder makes 6 scans of a grey picture.
    assert read(scans(grey, MAX_SCANS - 6)).size == grey.size
    data = scans(grey, MAX_SCANS - 5)
    monkeypatch.setattr(Image.Image, "load", _fail)
    with pytest.raises(ImageTooCostly, match="more than 50 JPEG scans") as caught:
        read(data)
    assert caught.value.field == "image"


def test_scans_cannot_hide_in_data_that_libjpeg_skips() -> None:
    data = scans(Image.linear_gradient("L"), MAX_SCANS - 5)
    at = data.rfind(b"\xff\xda")
    for hidden in (b"\xff\x02\xff\xff", b"\xff\xff", b"\xff\xd0", b"\xff\x01\xff\xff", b"\0" * 9, b"\xff\x00"):
        with pytest.raises(ImageTooCostly):
            read(data[:at] + hidden + data[at:])


def test_scans_of_thumbnails_and_trailing_data_do_not_count() -> None:
    data = encode(Image.linear_gradient("L"), "JPEG", comment=b"\xff\xda" * 60)
    assert read(data + b"\xff\xda\0\x02" * 100).size == (256, 256)


@pytest.mark.parametrize("encoding", ["PNG", "JPEG"])
def test_decoding_has_a_time_limit(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Image.frombytes("L", (300, 300), random.Random(0).randbytes(300 * 300))
    monkeypatch.setattr(uploads, "DECODE_S", 0.2)
    assert read(encode(noise, encoding, quality=95)).size == (300, 300)
    prepare = ImageFile.ImageFile.load_prepare

    def slowly(self: ImageFile.ImageFile) -> None:
        prepare(self)
        end = time.thread_time() + 0.3
        while time.thread_time() < end:
            pass

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", slowly)
    with pytest.raises(ImageTooCostly, match="s to decode"):
        read(encode(noise, encoding, quality=95))


def _declared(side: int) -> bytes:
    """A small PNG whose header declares ``side`` x ``side`` pixels."""
    data = picture((8, 8))
    header = struct.pack(">II", side, side) + data[24:29]
    return data[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + data[33:]


def _fail(*_: object) -> None:
    raise AssertionError("decoded")


# How a picture is stored for each orientation (EXIF 2.32, tag 0x0112): what turns the upright one into it.
_STORED: dict[int, Image.Transpose | None] = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", list(_STORED))
def test_every_exif_orientation_is_applied(orientation: int, encoding: str) -> None:
    upright = Image.new("RGB", (48, 32), "white")
    upright.paste("black", (0, 0, 16, 16))
    how = _STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(upright.transpose(how) if how is not None else upright, encoding, exif=exif)
    for image in (read(data), read_mask_image(data, field="mask", limits=LIMITS).convert("RGB")):
        assert image.size == upright.size
        assert image.getpixel((4, 4)) < (60, 60, 60)  # type: ignore[operator]
        assert all(image.getpixel(corner) > (200, 200, 200) for corner in ((44, 4), (4, 28), (44, 28)))  # type: ignore[operator]


def test_metadata_does_not_survive() -> None:
    text = PngInfo()
    text.add_text("Comment", "where I live")
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    stored = write_png(read(encode(Image.new("RGB", (8, 8)), pnginfo=text, exif=exif)))
    assert b"where I live" not in stored
    assert Image.open(io.BytesIO(stored)).info == {}


def test_trailing_data_does_not_survive() -> None:
    stored = write_png(read(picture() + b"<script>alert(1)</script>"))
    assert b"script" not in stored


@pytest.mark.parametrize(
    ("profile", "colour", "expected"),
    [
        # By hand, from the colour spaces' definitions; what sRGB cannot show is cut to its nearest.
        (rgb_profile(DISPLAY_P3, srgb_curve()), (200, 100, 50), (215, 93, 31)),
        (rgb_profile(DISPLAY_P3, srgb_curve()), (0, 255, 0), (0, 255, 0)),
        (rgb_profile(ADOBE_RGB, gamma_curve(ADOBE_GAMMA)), (200, 100, 50), (227, 100, 42)),
        (rgb_profile(SRGB, gamma_curve(1.8)), (128, 128, 128), (146, 146, 146)),
    ],
    ids=["Display P3", "Display P3 beyond sRGB", "Adobe RGB", "gamma 1.8"],
)
def test_a_profile_is_converted_to_srgb(profile: bytes, colour: tuple[int, ...], expected: tuple[int, ...]) -> None:
    for encoding in ("PNG", "WEBP"):
        options = {"lossless": True} if encoding == "WEBP" else {}
        image = read(encode(Image.new("RGB", (8, 8), colour), encoding, icc_profile=profile, **options))
        pixel = image.getpixel((4, 4))
        assert isinstance(pixel, tuple)
        assert all(abs(a - b) <= 1 for a, b in zip(pixel, expected, strict=True))
        assert "icc_profile" not in Image.open(io.BytesIO(write_png(image))).info


@pytest.mark.parametrize(
    "profile",
    [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), rgb_profile(SRGB, srgb_curve())],
    ids=["formula", "table"],
)
def test_srgb_profile_changes_no_pixel(profile: bytes) -> None:
    noise = Image.frombytes("RGB", (128, 128), random.Random(1).randbytes(128 * 128 * 3))
    assert read(encode(noise, icc_profile=profile)).tobytes() == noise.tobytes()


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_profile_is_converted_too(mode: str) -> None:
    image = Image.new("L", (8, 8), 128).convert(mode)
    # Linear light: 128 / 255 is 188 of sRGB.
    assert read(encode(image, icc_profile=grey_profile(1.0))).getpixel((0, 0)) == (188, 188, 188)


def test_a_transparent_picture_with_a_profile_keeps_its_alpha() -> None:
    image = Image.new("RGBA", (8, 8), (128, 128, 128, 70))
    read_back = read(encode(image, icc_profile=rgb_profile(SRGB, gamma_curve(1.8))))
    assert read_back.getpixel((0, 0)) == (146, 146, 146, 70)


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_profile_of_another_colour_model_is_ignored(mode: str) -> None:
    plain, profiled = (
        read(encode(Image.new(mode, (8, 8), "#c86432"), "JPEG", **options))
        for options in ({}, {"icc_profile": grey_profile(1.0)})
    )
    assert plain.tobytes() == profiled.tobytes()


def test_a_damaged_profile_is_ignored() -> None:
    image = read(encode(Image.new("RGB", (8, 8), (10, 200, 90)), icc_profile=b"no profile"))
    assert image.getpixel((0, 0)) == (10, 200, 90)


@pytest.mark.parametrize("encoding", ["PNG", "WEBP"])
def test_transparency_is_kept(encoding: str) -> None:
    image = Image.new("RGBA", (16, 16), (255, 0, 0, 255))
    image.paste((0, 10, 20, 77), (8, 0, 16, 16))
    kept = read(encode(image, encoding, **({"lossless": True} if encoding == "WEBP" else {})))
    assert kept.mode == "RGBA"
    assert kept.tobytes() == image.tobytes()


def test_an_alpha_channel_that_hides_nothing_is_dropped() -> None:
    assert read(encode(Image.new("RGBA", (2, 2), (1, 2, 3, 255)))).mode == "RGB"


def _palette() -> Image.Image:
    return Image.new("RGB", (4, 4), (255, 0, 0)).quantize(4)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Image.new("L", (4, 4), 77), (77, 77, 77)),
        (lambda: Image.new("1", (4, 4), 1), (255, 255, 255)),
        (lambda: Image.new("LA", (4, 4), (77, 255)), (77, 77, 77)),
        (lambda: Image.new("I;16", (4, 4), 65535), (255, 255, 255)),
        (lambda: Image.new("I;16", (4, 4), 32896), (128, 128, 128)),
        (_palette, (255, 0, 0)),
    ],
    ids=["grey", "bilevel", "grey opaque", "16 bit white", "16 bit middle", "palette"],
)
def test_other_modes_become_rgb(make: Callable[[], Image.Image], expected: tuple[int, int, int]) -> None:
    image = read(encode(make()))
    assert (image.mode, image.getpixel((1, 1))) == ("RGB", expected)


def test_cmyk_becomes_rgb() -> None:
    image = read(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    red, green, blue = image.getpixel((4, 4))  # type: ignore[misc]
    assert image.mode == "RGB"
    assert red > 200 > 60 > max(green, blue)


def test_cmyk_is_converted_through_its_profile() -> None:
    # Two full inks of four: L* = 50, a grey of 119 in sRGB; without the profile they would be blue.
    data = encode(Image.new("CMYK", (16, 16), (255, 255, 0, 0)), "JPEG", quality=100, icc_profile=cmyk_profile())
    pixel = read(data).getpixel((8, 8))
    assert isinstance(pixel, tuple)
    assert all(abs(value - 119) <= 3 for value in pixel)


def test_sixteen_bits_a_channel_become_eight() -> None:
    assert read(_deep_png((65535, 32896, 0))).getpixel((1, 1)) == (255, 128, 0)
    assert read(_deep_png((65535, 32896, 0, 32896))).getpixel((1, 1)) == (255, 128, 0, 128)


def _deep_png(pixel: tuple[int, ...]) -> bytes:
    """A 4 x 4 PNG of 16 bits a channel: Pillow writes none in colour."""
    rows = b"".join(b"\0" + struct.pack(f">{len(pixel)}H", *pixel) * 4 for _ in range(4))
    kind = {3: 2, 4: 6}[len(pixel)]
    header = struct.pack(">IIBBBBB", 4, 4, 16, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def test_a_progressive_jpeg_is_read() -> None:
    noise = Image.effect_noise((64, 48), 40).convert("RGB")
    plain, progressive = (read(encode(noise, "JPEG", progressive=how)) for how in (False, True))
    assert plain.tobytes() == progressive.tobytes()


@pytest.mark.parametrize(
    ("encoding", "options"), [("WEBP", {"lossless": True}), ("PNG", {}), ("PNG", {"default_image": True}), ("MPO", {})]
)
def test_first_of_several_pictures_is_used(encoding: str, options: dict[str, Any]) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    red, green, blue = read(encode(frames[0], encoding, save_all=True, append_images=frames[1:], **options)).getpixel(
        (4, 4)
    )  # type: ignore[misc]
    assert red > 240 > 10 > max(green, blue)


def test_a_mask_keeps_its_alpha() -> None:
    mask = read_mask_image(encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0))), field="mask", limits=LIMITS)
    assert mask.mode == "RGBA"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_damaged_files_raise_only_documented_errors(data: st.DataObject) -> None:
    """Flipped bytes anywhere: a picture or an error of ours, never another exception."""
    encoding = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP"]))
    content = bytearray(encode(Image.linear_gradient("L").resize((24, 24)).convert("RGB"), encoding))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(RequestError):
        assert read(bytes(content)).mode in {"RGB", "RGBA"}
