"""Previews on the command line: in a file, or in the terminal as sixel graphics (DEC STD 070, 9)."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Final

from PIL import Image
from rich.console import Console
from rich.progress import Progress

SIXEL: Final = "sixel"
"""Value that selects the terminal instead of a file."""

COLOURS: Final = 128
BAND: Final = 6
"""Rows of pixels in one band of sixels."""

ShowPreview = Callable[[Image.Image], None]


def shower(target: str, console: Console, bar: Progress) -> ShowPreview:
    """A function that shows previews at ``target``: `SIXEL`, or a file that is replaced each time. ``bar`` is paused
    meanwhile."""
    if target == SIXEL:

        def draw(picture: Image.Image) -> None:
            bar.stop()
            console.file.write(sixels(picture) + "\n")
            console.file.flush()
            bar.start()

        return draw
    path = Path(target)

    def save(picture: Image.Image) -> None:
        buffer = io.BytesIO()
        picture.save(buffer, format_of(path))
        part = path.with_name(path.name + ".part")
        part.write_bytes(buffer.getvalue())
        # Written atomically, so that readers see a whole picture.
        part.replace(path)

    return save


def format_of(path: Path) -> str:
    """Pillow's format of a file by its ending. Raises ValueError, which names the endings."""
    formats = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
    if path.suffix.lower() not in formats:
        raise ValueError(f"{path.name!r} has none of the suffixes {', '.join(formats)} and is not {SIXEL!r}")
    return formats[path.suffix.lower()]


def sixels(picture: Image.Image) -> str:
    """The escape sequence that draws an RGB picture."""
    reduced = picture.quantize(COLOURS)
    palette = reduced.getpalette() or []
    width, height = reduced.size
    pixels = reduced.tobytes()
    used = sorted(set(pixels))
    parts = [f'\x1bP0;1q"1;1;{width};{height}']
    parts += [f"#{n};2;" + ";".join(str(round(v * 100 / 255)) for v in palette[3 * n : 3 * n + 3]) for n in used]
    for top in range(0, height, BAND):
        rows = [pixels[y * width : (y + 1) * width] for y in range(top, min(top + BAND, height))]
        for colour in sorted(set(b"".join(rows))):
            bits = (sum((row[x] == colour) << n for n, row in enumerate(rows)) for x in range(width))
            parts.append(f"#{colour}" + "".join(_run(value, len(list(run))) for value, run in groupby(bits)) + "$")
        parts.append("-")
    return "".join(parts) + "\x1b\\"


def _run(value: int, length: int) -> str:
    sign = chr(63 + value)
    return f"!{length}{sign}" if length > 3 else sign * length
