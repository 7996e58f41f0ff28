"""Previews on the command line."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from cli.preview import COLOURS, shower, sixels


def drawn(sequence: str) -> Image.Image:
    """The picture that a terminal draws: the sequence's own grammar, read as its standard has it."""
    body = re.fullmatch(r"\x1bP0;1q(.*)\x1b\\", sequence, re.DOTALL)
    assert body is not None
    size = re.match(r'"1;1;(\d+);(\d+)', body[1])
    assert size is not None
    picture = Image.new("RGB", (int(size[1]), int(size[2])), (1, 2, 3))
    colours: dict[int, tuple[int, ...]] = {}
    x = top = colour = 0
    for number, definition, repeated, sign in re.findall(
        r"#(\d+)(;2;\d+;\d+;\d+)?|(?:!(\d+))?([?-~$-])", body[1][size.end() :]
    ):
        if definition:
            colours[int(number)] = tuple(round(int(v) * 255 / 100) for v in definition.split(";")[2:])
        elif number:
            colour = int(number)
        elif sign == "$":
            x = 0
        elif sign == "-":
            x, top = 0, top + 6
        else:
            width, bits = int(repeated or 1), ord(sign) - 63
            for bit in range(6):
                if bits >> bit & 1:
                    picture.paste(colours[colour], (x, top + bit, x + width, top + bit + 1))
            x += width
    return picture


def test_a_terminal_draws_the_picture() -> None:
    picture = Image.new("RGB", (20, 15), (255, 0, 0))
    picture.paste((0, 0, 255), (5, 4, 12, 11))
    assert drawn(sixels(picture)).tobytes() == picture.tobytes()


def test_many_colours_are_reduced() -> None:
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    assert len(re.findall(r"#\d+;2;", sixels(noise))) <= COLOURS


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "preview.png"
    show = shower(str(path), Console(file=io.StringIO()), Progress())
    for colour in ("red", "blue"):
        show(Image.new("RGB", (8, 8), colour))
        with Image.open(path) as saved:
            assert saved.getpixel((0, 0)) == Image.new("RGB", (1, 1), colour).getpixel((0, 0))
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_ending_is_named(tmp_path: Path) -> None:
    show = shower(str(tmp_path / "preview.gif"), Console(file=io.StringIO()), Progress())
    with pytest.raises(ValueError, match=r"'preview.gif' has none of the suffixes .png"):
        show(Image.new("RGB", (8, 8)))


def test_sixels_go_to_the_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out)
    with Progress(console=console) as bar:
        shower("sixel", console, bar)(Image.new("RGB", (8, 8), "red"))
    assert "\x1bP0;1q" in out.getvalue()
