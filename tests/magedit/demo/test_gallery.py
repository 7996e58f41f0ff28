"""The gallery's sheet; what it shows comes from the pipeline, which has its own tests."""

from __future__ import annotations

from PIL import Image

from magedit.demo.gallery import CAPTION, COLUMNS, GAP, PANEL, TITLE, Painter, sheet
from magedit.demo.named import demo_edit
from magedit.images.masks import OUTLINE_COLOUR
from tests.magedit.conftest import load_pipeline


def test_rows_of_captioned_pictures() -> None:
    red, blue = (Image.new("RGB", (50, 50), colour) for colour in ("red", "blue"))
    made = sheet([("one", [("a", red), ("b", blue)]), ("two", [("c", blue)])])
    height = TITLE + PANEL + CAPTION + GAP
    assert made.size == (COLUMNS * (PANEL + GAP) + GAP, 2 * height + GAP)
    middle = GAP + TITLE + PANEL // 2
    assert made.getpixel((GAP + PANEL // 2, middle)) == (255, 0, 0)
    assert made.getpixel((GAP + PANEL + GAP + PANEL // 2, middle)) == (0, 0, 255)
    assert made.getpixel((GAP + PANEL // 2, middle + height)) == (0, 0, 255)
    assert made.getpixel((GAP + PANEL + GAP + PANEL // 2, middle + height)) == (255, 255, 255)


def test_a_row_has_source_unguided_and_every_result() -> None:
    painter = Painter(load_pipeline(), "fast")
    title, panels = painter.compare("pillow", demo_edit("pillow"), steps=2, max_iterations=1, sweep=(0.5, 1.0))
    assert title == "pillow"
    assert [name for name, _ in panels] == ["source and mask", "prompts alone (P2P)", "strength 0.5", "strength 1"]
    assert OUTLINE_COLOUR in {colour for _, colour in panels[0][1].getcolors(1 << 20) or ()}
