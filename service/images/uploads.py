"""Uploaded pictures: checked before they are decoded, then rewritten as plain PNG.

The uploaded file itself is never stored: it is decoded and encoded again, so that no metadata, no trailing data
and no second format inside the same bytes (a polyglot) reaches storage, worker or result. Documented rules:

- PNG, JPEG and WebP only; the bytes decide, not the declared type. Of an animation the first frame counts.
- The declared size is checked against the limits before any pixel is decoded, and so is the number of a JPEG's scans.
- Metadata never makes a picture damaged: it is taken out before the file is decoded (`service.images.metadata`).
- EXIF orientation is applied, to images and masks; what XMP says of it is not, as in viewers.
- An ICC profile is converted to sRGB. One that is sRGB leaves the pixels alone; one that is damaged, of another colour
  model than the picture, or longer than 16 MB is ignored: sRGB is assumed, as it is without a profile.
- Grey, palette and CMYK become RGB; 16 bits a channel become 8.
- Transparency is kept; a picture whose every pixel is opaque becomes RGB.
- A mask keeps its own channels until `magedit.images.masks.read_mask` reads it by the mask mode.
"""

from __future__ import annotations

import io
import re
import time
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageCms

from magedit.images.inputs import eight_bits
from service.errors import ImageTooCostly, ImageTooLarge, UnreadableImage, UnsupportedImageType, UploadTooLarge
from service.images.metadata import JPEG, PNG, RIFF, plain

FORMATS = ("PNG", "JPEG", "WEBP")
SRGB_TOLERANCE = 2
"""A profile that changes no colour by more than this (0..255) counts as sRGB, with other curves or rounding."""

MAX_SCANS = 50
"""Most scans of a JPEG. Each covers the whole picture, even with few bytes (libjpeg-turbo, "Two Issues with the
JPEG Standard", LJT-01-004); encoders write 10 to 30."""

DECODE_S = 10.0
"""Most processor time of one decoding, in seconds: twenty times what the largest picture takes. Not wall time, which
depends on the machine's load."""

# First bytes of the three formats (RFC 2083 3.1, ITU T.81 B.1.1.3, WebP container specification).
_SIGNATURES = (PNG, JPEG, RIFF)
# A data URI (RFC 2397), and the three formats in base64.
_TEXTS = (b"data:", b"iVBORw0KGgo", b"/9j/", b"UklGR")

# The transposition that turns a picture upright, by orientation (EXIF 2.32, tag 0x0112).
_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# The markers that end coded data (ITU T.81, B.1.1.2 and table B.1): not a stuffed byte, a restart, or what libjpeg
# passes over there.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_EOI, _SOS = 0xD9, 0xDA


@dataclass(frozen=True, kw_only=True)
class UploadLimits:
    """Limits of one uploaded picture: bytes of the part, pixels in all, pixels of the longer side."""

    max_bytes: int
    max_pixels: int
    max_side: int


def read_image(data: bytes, *, field: str, limits: UploadLimits) -> Image.Image:
    """Decode an uploaded image into RGB, or RGBA if it is transparent anywhere; 8 bits, sRGB, upright, no metadata.

    Raises `UploadTooLarge`, `UnsupportedImageType`, `ImageTooLarge`, `ImageTooCostly` or `UnreadableImage`, each naming
    ``field``.
    """
    image, profile = _decode(data, field=field, limits=limits)
    return _to_rgb(image, profile)


def read_mask_image(data: bytes, *, field: str, limits: UploadLimits) -> Image.Image:
    """Decode an uploaded mask, upright, in the mode it came in. Raises as `read_image`."""
    image, _ = _decode(data, field=field, limits=limits)
    return image


def _decode(data: bytes, *, field: str, limits: UploadLimits) -> tuple[Image.Image, bytes | None]:
    """The decoded upright picture and its ICC profile."""
    if len(data) > limits.max_bytes:
        raise UploadTooLarge(
            f"`{field}` has {len(data)} bytes; at most {limits.max_bytes} are accepted. Send a smaller file.",
            field=field,
        )
    if not data:
        raise UnreadableImage(
            f"`{field}` is an empty file: it has 0 bytes. Check it where it was written.", field=field
        )
    if data.startswith(_TEXTS):
        raise UnsupportedImageType(f"`{field}` is base64 text. Decode it and send the bytes.", field=field)
    if not data.startswith(_SIGNATURES):
        raise UnsupportedImageType(
            f"`{field}` is not a PNG, JPEG or WebP picture. Convert it to one of them.", field=field
        )
    if data.startswith(JPEG) and _has_too_many_scans(data):
        raise ImageTooCostly(
            f"`{field}` has more than {MAX_SCANS} JPEG scans. Save it again with an ordinary encoder, or as PNG.",
            field=field,
        )
    stripped, profile, orientation = plain(data)
    try:
        image = Image.open(_Paced(stripped), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge(
            f"`{field}` declares far more pixels than the accepted {limits.max_pixels}. Scale it down.",
            field=field,
        ) from error
    except Exception as error:
        # Pillow's readers raise nearly any error on damaged headers (struct.error, SyntaxError, ...).
        raise UnreadableImage(f"`{field}` is damaged: its header cannot be read.", field=field) from error
    width, height = image.size
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        raise ImageTooLarge(
            f"`{field}` is {width}x{height}; at most {limits.max_pixels} pixels and {limits.max_side} a side are "
            "accepted. Scale it down.",
            field=field,
        )
    try:
        image.load()
        upright = image.transpose(_TURNED[orientation]) if orientation in _TURNED else image
    except _TooSlow as error:
        raise ImageTooCostly(
            f"`{field}` takes more than {DECODE_S:g} s to decode. Scale it down, or save it again.", field=field
        ) from error
    except Exception as error:
        raise UnreadableImage(f"`{field}` is damaged or truncated: it cannot be decoded.", field=field) from error
    return upright, profile


class _TooSlow(Exception):
    """Decoding has taken `DECODE_S`."""


class _Paced(io.BytesIO):
    """A file that can be read for `DECODE_S` of the thread's processor time: decoders ask for one piece after another,
    in the thread that decodes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._until = time.thread_time() + DECODE_S

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._until:
            raise _TooSlow
        return super().read(size)


def _has_too_many_scans(data: bytes) -> bool:
    """Whether a JPEG has more than `MAX_SCANS`: its segments are passed over as libjpeg does, up to the end of the
    picture, so that what is in them (a preview, say) or follows it (a film) does not count."""
    at, scans = len(JPEG) - 1, 0
    while (marker := _MARKER.search(data, at)) is not None:
        kind, at = marker[1][0], marker.end()
        if kind == _EOI:
            return False
        scans += kind == _SOS
        if scans > MAX_SCANS:
            return True
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return False


def _to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in sRGB, with an alpha channel if any pixel is not opaque."""
    image = eight_bits(image)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    model = _COLOUR_MODEL.get(image.mode, "RGB")
    colours = image if image.mode == model else image.convert(model)
    rgb = _to_srgb(colours, profile) if profile else colours.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        rgb.putalpha(alpha)
    return rgb


# The modes whose own colour model is not RGB; a profile is written for that.
_COLOUR_MODEL = {"1": "L", "L": "L", "LA": "L", "CMYK": "CMYK"}


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
        if image.mode == "RGB" and _keeps_colours(transform):
            return image
        converted = ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


def _keeps_colours(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether no colour of a 16 x 16 x 16 cube changes by more than `SRGB_TOLERANCE`."""
    levels = range(0, 256, 17)
    cube = Image.new("RGB", (256, 16))
    cube.putdata([(r, g, b) for r in levels for g in levels for b in levels])
    moved = ImageChops.difference(cube, ImageCms.applyTransform(cube, transform) or cube)
    return max(high for _, high in moved.getextrema()) <= SRGB_TOLERANCE  # type: ignore[misc]
