"""Metadata of uploaded pictures: its bytes never reach a decoder, its EXIF orientation and ICC profile are read here.

A decoder that fails on a comment, a thumbnail or a damaged tag would refuse a picture with intact pixels; and metadata
is never kept.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

PNG: Final = b"\x89PNG\r\n\x1a\n"
JPEG: Final = b"\xff\xd8\xff"
RIFF: Final = b"RIFF"

PROFILE_MAX: Final = 16 * 1024 * 1024
"""Longest ICC profile that is read, in bytes: about what fits into the 255 segments of a JPEG. A longer one counts as
damaged."""

_EXIF: Final = b"Exif\0\0"
_ICC: Final = b"ICC_PROFILE\0"
# Application segments that a JPEG decoder needs: colours of JFIF and Adobe, each with the least length that libjpeg
# reads.
_COLOURS: Final = ((0xE0, b"JFIF\0", 14), (0xEE, b"Adobe", 12))
# Application segments, and comments.
_METADATA: Final = frozenset({*range(0xE0, 0xF0), 0xFE})
_SCAN: Final = 0xDA

_ORIENTATION: Final = 0x0112
_SHORT: Final = 3


class Plain(NamedTuple):
    """A picture without metadata, and the metadata that change its appearance."""

    data: bytes
    profile: bytes | None
    """The ICC profile, unchecked."""
    orientation: int
    """1 to 8, as EXIF counts them (EXIF 2.32, tag 0x0112); 1: as it lies in the file."""


def plain(data: bytes) -> Plain:
    """Remove the metadata from a PNG, JPEG or WebP file; a truncated or damaged file stays so.

    An animated PNG keeps its still picture. Orientation comes from EXIF alone: no viewer reads XMP's.
    """
    read: Callable[[bytes], tuple[bytes, bytes | None, bytes]] = _webp
    if data.startswith(PNG):
        read = _png
    elif data.startswith(JPEG):
        read = _jpeg
    stripped, profile, exif = read(data)
    return Plain(stripped, profile, orientation_of(exif))


def _png(data: bytes) -> tuple[bytes, bytes | None, bytes]:
    """Without every ancillary chunk but transparency (PNG, third edition, 4.8 and 11.3)."""
    kept, profile, exif = [PNG], None, b""
    at = len(PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if kind == b"iCCP" and profile is None:
            profile = _inflated(data[at + 8 : end - 4])
        elif kind == b"eXIf" and not exif:
            exif = data[at + 8 : end - 4]
        elif kind == b"tRNS" or not kind[0] & 0x20:
            kept.append(data[at:end])
        at = end
        if kind == b"IEND":
            break
    return b"".join(kept), profile, exif


def _inflated(chunk: bytes) -> bytes | None:
    """The profile in an `iCCP` chunk: a name, a null byte, the compression method, a zlib stream."""
    _, _, packed = chunk.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(packed[1:], PROFILE_MAX)
    except zlib.error:
        return None
    return profile if inflate.eof else None


def _jpeg(data: bytes) -> tuple[bytes, bytes | None, bytes]:
    """Without comments and application segments, except those that define the colour coding (ITU T.81, B.1.1)."""
    kept, exif = [data[:2]], b""
    profile: dict[int, bytes] = {}
    at = 2
    for kind, start, end in _segments(data):
        kept.append(data[at:start])
        at = end
        body = data[start + 4 : end]
        if kind not in _METADATA or _tells_colours(kind, body):
            kept.append(data[start:end])
        elif kind == 0xE1 and body.startswith(_EXIF) and not exif:
            exif = body
        elif kind == 0xE2 and body.startswith(_ICC) and len(body) > 14:
            profile.setdefault(body[12], body[14:])
    kept.append(data[at:])
    return b"".join(kept), b"".join(profile[n] for n in sorted(profile)) or None, exif


def _tells_colours(kind: int, body: bytes) -> bool:
    return any(kind == each and body.startswith(begin) and len(body) >= size for each, begin, size in _COLOURS)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of each readable segment before the first scan."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0:
        while data[at : at + 1] == b"\xff":
            at += 1
        if at + 3 > len(data):
            return
        kind = data[at]
        if kind == 0 or kind == 1 or 0xD0 <= kind <= 0xD9:
            # No segment follows.
            continue
        end = at + 1 + max(2, int.from_bytes(data[at + 1 : at + 3], "big"))
        if kind == _SCAN or end > len(data):
            return
        # From the last 0xff: fill bytes before it stay where they are.
        yield kind, at - 1, end
        at = end


def _webp(data: bytes) -> tuple[bytes, bytes | None, bytes]:
    """Unchanged: libwebp skips metadata (WebP container specification, 2.7)."""
    profile, exif = None, b""
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        if kind == b"ICCP" and profile is None:
            profile = body
        elif kind == b"EXIF" and not exif:
            exif = body
        at += 8 + length + length % 2
    return data, profile, exif


def orientation_of(exif: bytes) -> int:
    """The orientation in an EXIF block, 1 to 8; 1 where it has none or cannot be read. All other tags are ignored.

    As browsers read it: one SHORT in the first directory (TIFF 6.0, section 2).
    """
    tiff = exif.removeprefix(_EXIF)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, at)
        for number in range(count):
            tag, kind, values, value = struct.unpack_from(order + "HHIH", tiff, at + 2 + 12 * number)
            if tag == _ORIENTATION:
                return value if (kind, values) == (_SHORT, 1) and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
