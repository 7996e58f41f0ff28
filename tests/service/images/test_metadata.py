"""Metadata of uploads: what it says of the pixels counts, and nothing in it makes a picture damaged."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from service.images.metadata import PNG, PROFILE_MAX, orientation_of, plain
from service.images.uploads import UploadLimits, read_image
from tests.service.conftest import encode
from tests.service.images.profiles import DISPLAY_P3, rgb_profile, srgb_curve

DATA = Path(__file__).parents[2] / "data" / "uploads"
LIMITS = UploadLimits(max_bytes=20_000_000, max_pixels=100_000, max_side=1000)
COLOURS = Image.effect_noise((24, 16), 60).convert("RGB")


def read(data: bytes) -> Image.Image:
    return read_image(data, field="image", limits=LIMITS)


def without_exif(data: bytes) -> bytes:
    """A JPEG file without its application segment 1."""
    at = data.index(b"\xff\xe1")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


@pytest.mark.parametrize("name", ["gpsversion-ascii", "long-neg", "xres-srational"])
def test_unusual_exif_orientation_is_applied(name: str) -> None:
    data = (DATA / f"exif-o6-{name}.jpg").read_bytes()
    # 6: the first row is the right side (EXIF 2.32, tag 0x0112).
    assert read(data).tobytes() == read(without_exif(data)).transpose(Image.Transpose.ROTATE_270).tobytes()


def test_xmp_orientation_is_ignored() -> None:
    data = (DATA / "xmp-orientation6-square.jpg").read_bytes()
    assert b'tiff:Orientation="6"' in data
    assert read(data).tobytes() == read(without_exif(data)).tobytes()


def test_a_png_with_megabytes_of_compressed_text_is_read() -> None:
    assert read((DATA / "png-itxt-2mb.png").read_bytes()).size == (128, 128)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG file with one more chunk behind its header."""
    return data[:33] + chunk(kind, body) + data[33:]


def segment(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body


def with_segment(data: bytes, kind: int, body: bytes) -> bytes:
    """A JPEG file with one more segment behind its first."""
    at = 4 + int.from_bytes(data[4:6], "big")
    return data[:at] + segment(kind, body) + data[at:]


@pytest.mark.parametrize(
    "body",
    [b"", b"name", b"name\0\0", b"name\0\0not zlib", b"name\0\0" + zlib.compress(bytes(3 * PROFILE_MAX))],
    ids=["empty", "name alone", "nothing compressed", "not compressed", "a bomb"],
)
def test_a_png_with_a_profile_that_cannot_be_read_counts_as_srgb(body: bytes) -> None:
    assert read(with_chunk(encode(COLOURS), b"iCCP", body)).tobytes() == COLOURS.tobytes()


def test_a_profile_of_more_than_a_megabyte_is_converted() -> None:
    profile = rgb_profile(DISPLAY_P3, srgb_curve())
    # What is behind its last tag is padding (ICC.1:2022, 7.1); the header says how long it all is.
    large = struct.pack(">I", 3_000_000) + profile[4:] + bytes(3_000_000 - len(profile))
    image = Image.new("RGB", (8, 8), (200, 100, 50))
    expected = read(encode(image, icc_profile=profile))
    assert expected.getpixel((0, 0)) != (200, 100, 50)
    assert read(encode(image, icc_profile=large)).tobytes() == expected.tobytes()
    jpegs = [read(encode(image, "JPEG", icc_profile=each)) for each in (profile, large)]
    assert jpegs[0].tobytes() == jpegs[1].tobytes()


@pytest.mark.parametrize(
    "kind", [b"pHYs", b"tIME", b"gAMA", b"cHRM", b"sRGB", b"eXIf", b"tEXt", b"zTXt", b"acTL", b"fcTL"]
)
def test_a_png_with_an_empty_ancillary_chunk_is_read(kind: bytes) -> None:
    assert read(with_chunk(encode(COLOURS), kind, b"")).tobytes() == COLOURS.tobytes()


SEGMENTS = {
    "photoshop": (0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed"),
    "multi-picture": (0xE2, b"MPF\0" + b"MM\0*\0\0\0\x08" + b"\xff" * 40),
    "jfif": (0xE0, b"JFIF\0"),
    "adobe": (0xEE, b"Adobe"),
    "exif": (0xE1, b"Exif\0\0" + b"II*\0" + b"\xff" * 30),
    "profile": (0xE2, b"ICC_PROFILE\0\1\1" + b"\xff" * 200),
    "comment": (0xFE, b"\xff\xd9\xff\xda"),
}


@pytest.mark.parametrize("name", list(SEGMENTS))
def test_a_jpeg_with_a_damaged_segment_is_read(name: str) -> None:
    data = encode(COLOURS, "JPEG")
    assert read(with_segment(data, *SEGMENTS[name])).tobytes() == read(data).tobytes()


def test_a_jpeg_without_jfif_keeps_the_colours_that_adobe_says() -> None:
    # Adobe's transform 0: the three components are red, green and blue (Adobe TN 5116).
    data = encode(COLOURS, "JPEG", quality=95)
    bare = data[:2] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") + data[4 + int.from_bytes(data[4:6], "big") :]
    ycc = COLOURS.convert("YCbCr")
    raw = Image.frombytes("RGB", ycc.size, ycc.tobytes())
    difference = max(abs(a - b) for a, b in zip(read(bare).tobytes(), raw.tobytes(), strict=True))
    assert difference < 40 < max(abs(a - b) for a, b in zip(COLOURS.tobytes(), raw.tobytes(), strict=True))


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_no_metadata_makes_a_picture_damaged(data: st.DataObject) -> None:
    """Whatever the bytes, also those that begin like the real thing: the pixels are read as without them, or turned."""
    begin = data.draw(
        st.sampled_from([b"", b"Exif\0\0II*\0\x08\0\0\0", b"MPF\0MM\0*\0\0\0\x08", b"Photoshop 3.0\x008BIM", b"JFIF\0"])
    )
    body = begin + data.draw(st.binary(max_size=60))
    if data.draw(st.booleans()):
        kinds = st.sampled_from([*range(0xE0, 0xED), 0xED, 0xEF, 0xFE])
        whole = encode(COLOURS, "JPEG")
        # A second JFIF segment, or a profile, may say how the colours are meant.
        kind = data.draw(kinds if begin != b"JFIF\0" else st.just(0xFE))
        odd = with_segment(whole, kind, body)
    else:
        kinds_png = st.sampled_from([b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"pHYs", b"tIME", b"acTL", b"fcTL", b"prVt"])
        whole = encode(COLOURS)
        odd = with_chunk(whole, data.draw(kinds_png), body)
    assert sorted(read(odd).tobytes()) == sorted(read(whole).tobytes())


def test_damaged_picture_is_rejected() -> None:
    data = encode(COLOURS)
    assert plain(data).data == data
    for cut in (20, 40, len(data) - 14):
        assert data.startswith(plain(data[:cut]).data)
    assert plain(PNG).data == PNG


def exif(order: str, kind: int, count: int, value: int) -> bytes:
    """An EXIF block with an orientation of this type behind a tag that leads nowhere."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    nowhere = struct.pack(order + "HHII", 0x010F, 2, 100, 0xFFFFFFF0)
    return head + struct.pack(order + "H", 2) + nowhere + struct.pack(order + "HHIHH", 0x0112, kind, count, value, 0)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_is_found_among_other_tags(order: str) -> None:
    assert orientation_of(exif(order, 3, 1, 6)) == 6
    assert orientation_of(b"Exif\0\0" + exif(order, 3, 1, 8)) == 8


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"II*\0",
        b"II*\0\x08\0\0\0",
        b"II+\0" + bytes(20),
        exif("<", 3, 1, 0),
        exif("<", 3, 1, 9),
        exif("<", 3, 2, 6),
        exif("<", 9, 1, 6),
        exif("<", 3, 1, 6)[:-6],
    ],
)
def test_an_invalid_orientation_rotates_nothing(block: bytes) -> None:
    assert orientation_of(block) == 1
