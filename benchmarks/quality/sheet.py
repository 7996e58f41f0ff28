"""Contact sheet of randomly chosen verdicts, to check the automatic judge by eye."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from benchmarks.quality.tables import Figures
from magedit.demo.edits import DemoEdit

SIDE = 192
CAPTION = 44
COLUMNS = 3
GAP = 8
FONT = 12


def sheet(
    edits: Sequence[DemoEdit], figures: Sequence[Figures], picture: Callable[[str], Path], number: int
) -> Image.Image:
    """``number`` verdicts as tiles: the picture with the mask's outline, the truth, the result, and the verdict.

    The selection is random but reproducible for equal figures. ``picture`` gives the file of a result by its key.
    """
    by_name = {edit.name: edit for edit in edits}
    there = [each for each in figures if picture(each["key"]).exists()]
    chosen = random.Random(0).sample(there, min(number, len(there)))
    width, height = 3 * SIDE + GAP, SIDE + CAPTION + GAP
    rows = -(-len(chosen) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * width, max(1, rows) * height), "white")
    for index, each in enumerate(chosen):
        tile = _tile(by_name[each["edit"]], each, Image.open(picture(each["key"])))
        canvas.paste(tile, (index % COLUMNS * width, index // COLUMNS * height))
    return canvas


def outlined(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The picture with the mask's edge in white, beside black."""
    edge = ImageChops.difference(mask.filter(ImageFilter.MaxFilter(3)), mask)
    around = ImageChops.difference(mask.filter(ImageFilter.MaxFilter(5)), mask.filter(ImageFilter.MaxFilter(3)))
    shown = image.copy()
    shown.paste("black", mask=around)
    shown.paste("white", mask=edge)
    return shown


def _tile(edit: DemoEdit, figures: Figures, result: Image.Image) -> Image.Image:
    tile = Image.new("RGB", (3 * SIDE, SIDE + CAPTION), "white")
    source = outlined(edit.image(SIDE), edit.mask(SIDE))
    for place, shown in enumerate((source, edit.truth(SIDE), result.convert("RGB"))):
        tile.paste(shown.resize((SIDE, SIDE), Image.Resampling.NEAREST), (place * SIDE, 0))
    verdict = "success" if figures["success"] else "failure" if figures["read"] else "failure, not read"
    draw, font = ImageDraw.Draw(tile), ImageFont.load_default(FONT)
    draw.text((2, SIDE + 2), f"{edit.name}  {figures['row']}: {verdict}, left {figures['left']:.2f}", "black", font)
    words = ", ".join(edit.words) or "(removal)"
    draw.text((2, SIDE + 18), f"{words}   |   {edit.target_prompt}"[:110], "black", font)
    return tile
