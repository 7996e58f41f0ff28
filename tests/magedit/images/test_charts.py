"""Charts drawn with Pillow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from magedit.images.charts import COLOURS, Series, chart, stack, ticks


def near(image: Image.Image, colour: str, box: tuple[int, int, int, int]) -> int:
    """How many pixels of ``box`` have about this colour."""
    wanted = ImageColor.getrgb(colour)
    pixels = image.crop(box).get_flattened_data()
    return sum(max(abs(a - b) for a, b in zip(pixel, wanted, strict=True)) < 40 for pixel in pixels)  # type: ignore[arg-type]


def test_a_rising_line_rises() -> None:
    image = chart("Up", [Series(label="line", points=[(0, 0), (10, 1)])], x_label="step", size=(400, 200))
    width, top, bottom = image.width, 40, 148
    lower_left, upper_right = (90, 100, 200, bottom), (280, top, width, 90)
    upper_left, lower_right = (90, top, 200, 90), (280, 110, width, bottom)
    assert min(near(image, COLOURS[0], box) for box in (lower_left, upper_right)) > 50
    assert max(near(image, COLOURS[0], box) for box in (upper_left, lower_right)) == 0


def test_a_dashed_line_has_gaps_and_a_point_a_mark() -> None:
    points = [(0.0, 1.0), (10.0, 1.0)]
    solid, dashed = (
        near(chart("", [Series(label="", points=points, dashed=how)], x_label=""), COLOURS[0], (90, 30, 740, 270))
        for how in (False, True)
    )
    assert 0.3 * solid < dashed < 0.8 * solid
    single = chart("", [Series(label="", points=[(3, 4)])], x_label="")
    assert 5 < near(single, COLOURS[0], (90, 30, 740, 270)) < 60


def test_nothing_to_show_is_said_and_no_error() -> None:
    empty = chart("Loss", [Series(label="loss", points=[])], x_label="step")
    assert near(empty, "#222222", (84, 140, 300, 180)) > 30


def test_a_long_legend_wraps() -> None:
    lines = [Series(label=f"the words of region {n}", points=[(0, n), (1, n)], colour=COLOURS[n]) for n in range(6)]
    few, many = (chart("", lines[:count], x_label="") for count in (1, 6))
    assert many.height > few.height
    for line in lines:
        assert near(many, line.colour, (0, 320, many.width, many.height)) > 10


def test_charts_stand_below_each_other() -> None:
    charts = [Image.new("RGB", (30, height), colour) for height, colour in ((10, "red"), (20, "blue"))]
    sheet = stack(charts)
    assert sheet.size == (30, 30)
    assert (sheet.getpixel((5, 5)), sheet.getpixel((5, 25))) == ((255, 0, 0), (0, 0, 255))


@given(st.lists(st.floats(-1e9, 1e9, allow_nan=False), min_size=1, max_size=9))
def test_ticks_enclose_their_values_in_equal_round_steps(values: list[float]) -> None:
    found = ticks(values)
    step = found[1] - found[0]
    slack = 1e-6 * step + 1e-9 * max(abs(found[0]), abs(found[-1]))
    assert found[0] <= min(values) + slack
    assert found[-1] >= max(values) - slack
    assert 2 <= len(found) <= 12


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 10], [0, 2, 4, 6, 8, 10]), ([0.31, 0.29], [0.29, 0.295, 0.3, 0.305, 0.31]), ([3], None)],
)
def test_ticks_are_round(values: list[float], expected: list[float] | None) -> None:
    found = ticks(values)
    if expected is not None:
        assert found == pytest.approx(expected)
    else:
        assert found[0] < 3 < found[-1]
