"""ICC profiles (ICC.1:2001-04, version 2) of well-known colour spaces, made here: none is under another's licence."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

# Colorants relative to D50, (X, Y, Z) of red, green and blue.
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
ADOBE_GAMMA = 2.19921875


def srgb_curve(points: int = 1024) -> bytes:
    """The transfer curve of sRGB (IEC 61966-2-1) as a table."""
    values = (i / (points - 1) for i in range(points))
    linear = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
    return b"curv" + bytes(4) + struct.pack(f">I{points}H", points, *(round(65535 * v) for v in linear))


def gamma_curve(gamma: float) -> bytes:
    """A pure power."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def rgb_profile(colorants: Sequence[Sequence[float]], curve: bytes) -> bytes:
    """A display profile of three colorants and one curve."""
    tags = {b"%sXYZ" % name: _xyz(value) for name, value in zip((b"r", b"g", b"b"), colorants, strict=True)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags | {b"%sTRC" % name: curve for name in (b"r", b"g", b"b")})


def grey_profile(gamma: float) -> bytes:
    """A grey-scale profile."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": gamma_curve(gamma)})


def cmyk_profile() -> bytes:
    """A printer in which every ink only darkens: L* falls from 100 by a quarter of it per full ink, a* = b* = 0."""
    ends = struct.pack(">256B", *range(256))
    grid = bytearray()
    for corner in range(16):
        inks = bin(corner).count("1")
        grid += bytes((round(255 * (1 - inks / 4)), 128, 128))
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + ends * 4 + bytes(grid) + ends * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut})


def _xyz(value: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in value))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    name = b"test"
    text = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(1 + 78)
    known = {b"desc": text, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": _xyz((0.9642, 1.0, 0.8249)), **tags}
    offset = 128 + 4 + 12 * len(known)
    table, body = struct.pack(">I", len(known)), b""
    for tag, data in known.items():
        table += tag + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = bytearray(128)
    header[0:4] = struct.pack(">I", offset + len(body))
    header[8:12] = b"\x02\x20\0\0"
    header[12:24] = kind + space + connection
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    return bytes(header) + table + body
