"""Heat maps and panels."""

from __future__ import annotations

from PIL import Image, ImageStat

from magedit.images.heatmap import PANEL_MAX, PANEL_SIDE, difference, grid, heat_map, panels, reduced


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


def test_the_map_covers_only_its_crop() -> None:
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


def test_large_panels_are_reduced() -> None:
    sheet = panels([("large", Image.new("RGB", (4000, 3000), "red"))])
    assert sheet.height < PANEL_MAX + 100
    assert PANEL_MAX < sheet.width < 1.4 * PANEL_MAX


def test_a_grid_has_its_rows_below_each_other() -> None:
    colours = ("red", "blue")
    sheet = grid([(colour, [("", Image.new("RGB", (384, 384), colour))] * 2) for colour in colours])
    assert sheet.width > 2 * 384
    assert sheet.height > 2 * 384
    assert sheet.getpixel((100, 200)) == (255, 0, 0)
    assert sheet.getpixel((100, sheet.height - 100)) == (0, 0, 255)


def test_a_difference_is_amplified_and_cut_at_white() -> None:
    shown = difference(Image.new("RGB", (1, 1), (10, 20, 30)), Image.new("RGB", (1, 1), (12, 15, 230)))
    assert shown.getpixel((0, 0)) == (8, 20, 255)


def test_a_reduced_mask_keeps_its_single_pixel() -> None:
    mask = Image.new("L", (3000, 2000))
    mask.putpixel((1500, 1000), 255)
    small = reduced(mask, 100)
    assert (small.size, small.histogram()[255] > 0, set(small.get_flattened_data())) == ((100, 67), True, {0, 255})
    picture = Image.new("RGB", (50, 20))
    assert reduced(picture, 100) is picture
