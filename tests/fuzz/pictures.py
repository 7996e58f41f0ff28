"""Pictures that are wrong in every way that a seed can think of: cut, flipped, lying about their size, two things at
once, or a few bytes that want to be gigabytes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from random import Random

from PIL import Image, PngImagePlugin

SIZE = (64, 48)


def _file(image: Image.Image, encoding: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, encoding, **options)
    return target.getvalue()


def _bases() -> list[bytes]:
    """Valid files of every kind that is accepted."""
    rgb = Image.linear_gradient("L").resize(SIZE).convert("RGB")
    rgba = rgb.convert("RGBA")
    rgba.putalpha(Image.radial_gradient("L").resize(SIZE))
    deep = Image.new("I;16", SIZE, 40_000)
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngImagePlugin.PngInfo()
    text.add_itxt("note", "x" * 500, zip=True)
    frames = [rgb, rgb.rotate(90).resize(SIZE)]
    return [
        _file(rgb, "PNG"),
        _file(rgba, "PNG", pnginfo=text),
        _file(rgb.quantize(16), "PNG", transparency=3),
        _file(deep, "PNG"),
        _file(rgb.convert("1"), "PNG"),
        _file(rgb, "PNG", save_all=True, append_images=frames),
        _file(rgb, "JPEG", exif=exif),
        _file(rgb, "JPEG", progressive=True, quality=30),
        _file(rgb.convert("CMYK"), "JPEG"),
        _file(rgb, "WEBP"),
        _file(rgba, "WEBP", lossless=True, exif=exif),
        _file(rgb, "WEBP", save_all=True, append_images=frames),
    ]


BASES = _bases()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk with its true checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG file that says it is so large."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def truncated(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 3, 20, 200))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def spliced(data: bytes, random: Random) -> bytes:
    """A part repeated, removed, or taken from another file."""
    a, b = sorted(random.randrange(len(data)) for _ in range(2))
    other = random.choice(BASES)
    middle = random.choice((b"", data[a:b] * 3, other[: random.randrange(len(other))], random.randbytes(50)))
    return data[:a] + middle + data[b:]


def polyglot(data: bytes, random: Random) -> bytes:
    """A picture and something else."""
    other = random.choice(
        (b"<script>alert(1)</script>", b"%PDF-1.7\n", b"PK\x03\x04" + bytes(26), b"#!/bin/sh\n", b"GIF89a", BASES[0])
    )
    return random.choice((data + other, other + data, data[:12] + other + data[12:]))


def lying(data: bytes, random: Random) -> bytes:
    """A PNG whose header does not go with its pixels."""
    del data
    pixels = zlib.compress(random.randbytes(random.choice((0, 10, 5000))))
    sides = (0, 1, 7, 64, 8192, 8193, 13_000, 65_535, 2**31 - 1, 2**32 - 1)
    depth, colour = random.choice((1, 2, 4, 8, 16, 0, 255)), random.choice((0, 2, 3, 4, 6, 7, 255))
    return png(random.choice(sides), random.choice(sides), chunk(b"IDAT", pixels), depth=depth, colour=colour)


def bomb(data: bytes, random: Random) -> bytes:
    """A few kilobytes that become many megabytes: in the pixels, a text, a profile, or a number of frames."""
    del data
    flat = zlib.compress(bytes(40_000_000), 9)
    row = zlib.compress(bytes(3 * 64 * 48 + 48))
    kind = random.choice(("pixels", "huge", "text", "profile", "frames"))
    if kind == "pixels":
        return png(4000, 3300, chunk(b"IDAT", flat))
    if kind == "huge":
        return png(30_000, 30_000, chunk(b"IDAT", flat))
    if kind == "text":
        return png(*SIZE, chunk(b"zTXt", b"note\0\0" + flat), chunk(b"IDAT", row))
    if kind == "profile":
        return png(*SIZE, chunk(b"iCCP", b"profile\0\0" + flat), chunk(b"IDAT", row))
    return png(*SIZE, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)), chunk(b"IDAT", row))


def noise(data: bytes, random: Random) -> bytes:
    """Something that only begins like a picture, or not even that."""
    return random.choice((b"", data[: random.randrange(16)])) + random.randbytes(random.randrange(300))


MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    truncated,
    flipped,
    flipped,
    flipped,
    spliced,
    spliced,
    polyglot,
    lying,
    noise,
)


def mutated(random: Random) -> bytes:
    """A wrong picture; one in fifty a bomb."""
    mutation = bomb if random.random() < 0.02 else random.choice(MUTATIONS)
    return mutation(random.choice(BASES), random)
