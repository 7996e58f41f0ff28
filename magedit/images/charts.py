"""Line charts drawn with Pillow. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10

from PIL import Image, ImageDraw, ImageFont

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Colours for the colour-blind too (Okabe and Ito, 2008), one per region."""

PAPER, INK, GRID = "white", "#222222", "#dddddd"
OVERSAMPLING = 2
"""Factor by which lines are drawn larger and reduced: Pillow draws them without antialiasing."""

FONT_SIZE = 15
LEFT, RIGHT, TOP, BOTTOM = 84, 20, 40, 52
"""Margins of a chart around its axes, in pixels: for tick labels, title and axis name."""

LEGEND_ROW, LEGEND_MARK, LEGEND_GAP = 24, 28, 24
"""Height of a row of the legend, length of a line's sample, and space between two entries, in pixels."""

LABEL_MAX = 60
"""Longest name in the legend, in characters; the rest is cut."""

TICKS = 5
"""About how many ticks an axis has."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line: ``points`` (x, y) in order, its name in the legend, colour, and whether it is dashed."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: str = COLOURS[0]
    dashed: bool = False


def chart(
    title: str, series: Sequence[Series], *, x_label: str, y_label: str = "", size: tuple[int, int] = (760, 320)
) -> Image.Image:
    """A chart of ``size`` pixels with axes, ticks, grid and a legend; without points it says so."""
    rows = _legend_rows(series, size[0] - LEFT - RIGHT)
    canvas = _Canvas((size[0], size[1] + LEGEND_ROW * len(rows)))
    canvas.text((LEFT, 10), title, bold=True)
    points = [point for line in series for point in line.points]
    if not points:
        canvas.text((LEFT, size[1] // 2), "nothing to show")
        return canvas.finished()
    xs, ys = ticks([x for x, _ in points]), ticks([y for _, y in points])
    box = (LEFT, TOP, size[0] - RIGHT, size[1] - BOTTOM)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = box[0] + (point[0] - xs[0]) / (xs[-1] - xs[0]) * (box[2] - box[0])
        return x, box[3] - (point[1] - ys[0]) / (ys[-1] - ys[0]) * (box[3] - box[1])

    for y in ys:
        _, at = place((xs[0], y))
        canvas.line([(box[0], at), (box[2], at)], GRID, 1)
        canvas.text((box[0] - 8, at), _number(y, ys), anchor="rm")
    for x in xs:
        at, _ = place((x, ys[0]))
        canvas.line([(at, box[3]), (at, box[3] + 5)], INK, 1)
        canvas.text((at, box[3] + 8), _number(x, xs), anchor="mt")
    canvas.line([(box[0], box[1]), (box[0], box[3]), (box[2], box[3])], INK, 1)
    canvas.text(((box[0] + box[2]) / 2, size[1] - 8), x_label, anchor="ms")
    canvas.text((box[0], box[1] - 6), y_label, anchor="ls")
    for line in series:
        canvas.path([place(point) for point in line.points], line.colour, dashed=line.dashed)
    for number, row in enumerate(rows):
        for x, line in row:
            y = size[1] + LEGEND_ROW * (number + 0.3)
            canvas.path([(LEFT + x, y), (LEFT + x + LEGEND_MARK, y)], line.colour, dashed=line.dashed)
            canvas.text((LEFT + x + LEGEND_MARK + 6, y), _label(line), anchor="lm")
    return canvas.finished()


def stack(charts: Sequence[Image.Image]) -> Image.Image:
    """Charts of one width below each other."""
    sheet = Image.new("RGB", (charts[0].width, sum(each.height for each in charts)), PAPER)
    y = 0
    for each in charts:
        sheet.paste(each, (0, y))
        y += each.height
    return sheet


def ticks(values: Sequence[float]) -> list[float]:
    """Round numbers, about `TICKS` of them in equal steps of 1, 2 or 5 times a power of ten, around all ``values``."""
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):
        half = abs(low) / 2 or 0.5
        low, high = low - half, high + half
    rough = (high - low) / TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * (1 - 1e-9))
    return [number * step for number in range(floor(low / step + 1e-9), ceil(high / step - 1e-9) + 1)]


def _number(value: float, axis: Sequence[float]) -> str:
    """The tick's label: as many decimals as the axis' step needs, powers of ten where those are many."""
    decimals = max(0, -floor(log10(axis[1] - axis[0]) + 1e-9))
    if decimals > 4 or max(abs(axis[0]), abs(axis[-1])) >= 1e6:
        return f"{value:.1e}" if value else "0"
    return f"{value:.{decimals}f}"


def _legend_rows(series: Sequence[Series], width: float) -> list[list[tuple[float, Series]]]:
    """The rows of the legend: each entry with its distance from the left, as many in a row as fit ``width``."""
    font = ImageFont.load_default(FONT_SIZE)
    rows: list[list[tuple[float, Series]]] = []
    x = width
    for line in series:
        needed = LEGEND_MARK + 6 + font.getlength(_label(line))
        if x + needed > width:
            rows.append([])
            x = 0.0
        rows[-1].append((x, line))
        x += needed + LEGEND_GAP
    return rows


def _label(line: Series) -> str:
    return line.label if len(line.label) <= LABEL_MAX else line.label[: LABEL_MAX - 1] + "…"


class _Canvas:
    """Drawing in pixels of the finished picture."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._image = Image.new("RGB", (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING), PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(FONT_SIZE * OVERSAMPLING)

    def text(self, at: tuple[float, float], text: str, *, anchor: str = "la", bold: bool = False) -> None:
        x, y = (value * OVERSAMPLING for value in at)
        self._draw.text((x, y), text, fill=INK, font=self._font, anchor=anchor, stroke_width=int(bold))

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        scaled = [(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in points]
        self._draw.line(scaled, fill=colour, width=round(width * OVERSAMPLING), joint="curve")

    def path(self, points: Sequence[tuple[float, float]], colour: str, *, dashed: bool) -> None:
        """A curve; a marker for a single point."""
        if len(points) == 1:
            ((x, y),) = points
            self._draw.circle((x * OVERSAMPLING, y * OVERSAMPLING), 3 * OVERSAMPLING, fill=colour)
        for begin, end in pairwise(points):
            if dashed:
                self._dashes(begin, end, colour)
            else:
                self.line([begin, end], colour, 2)

    def _dashes(self, begin: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        length = max(((end[0] - begin[0]) ** 2 + (end[1] - begin[1]) ** 2) ** 0.5, 1e-9)
        count = max(1, round(length / 8))
        for number in range(count):
            parts = (number / count, (number + 0.55) / count)
            self.line([tuple(b + (e - b) * part for b, e in zip(begin, end, strict=True)) for part in parts], colour, 2)

    def finished(self) -> Image.Image:
        return self._image.resize(self._size, Image.Resampling.LANCZOS)
