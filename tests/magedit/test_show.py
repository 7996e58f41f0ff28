"""Heat maps and panels."""

from __future__ import annotations

from PIL import Image, ImageStat

from magedit.show import PANEL_SIDE, heat_map, panels


def test_a_heat_map_is_brightest_where_the_attention_is() -> None:
    share = [[0.0, 0.0], [0.0, 1.0]]
    heat = heat_map(share, Image.new("RGB", (64, 64), "black"), (0, 0, 64, 64))
    assert heat.size == (64, 64)
    dark, bright = (ImageStat.Stat(heat.crop(box).convert("L")).mean[0] for box in ((0, 0, 16, 16), (48, 48, 64, 64)))
    assert bright > dark + 50


def test_a_common_scale_makes_maps_comparable() -> None:
    picture = Image.new("RGB", (8, 8))
    low, high = (heat_map([[v]], picture, (0, 0, 8, 8), high=1.0).getpixel((4, 4)) for v in (0.1, 1.0))
    assert low != high


def test_the_map_covers_its_crop_alone() -> None:
    picture = Image.new("RGB", (40, 20), "white")
    heat = heat_map([[1.0]], picture, (0, 0, 20, 20))
    assert heat.getpixel((30, 10)) == (255, 255, 255)
    assert heat.getpixel((10, 10)) != (255, 255, 255)


def test_a_map_of_nothing_is_dark_and_no_error() -> None:
    assert heat_map([[0.0]], Image.new("RGB", (8, 8)), (0, 0, 8, 8)).size == (8, 8)


def test_panels_stand_in_one_row_enlarged_by_whole_factors() -> None:
    small = Image.new("RGB", (128, 128), "red")
    sheet = panels([("one", small), ("two", small)])
    assert sheet.width > 2 * PANEL_SIDE
    assert sheet.height > PANEL_SIDE
    assert sheet.crop((100, 100, 300, 300)).getcolors() == [(40000, (255, 0, 0))]
