"""Pillow renderer of rooms: the picture at any size, and a mask for each object and part.

Shapes are drawn without antialiasing on a canvas `SUPERSAMPLING` times as large and then box-averaged. A pixel outside
every drawn sub-pixel of a part is therefore unaffected by that part: masks and pictures agree to the bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from PIL import Image, ImageDraw

from magedit.demo.palette import COLOURS, FLOORS, RGB, UNCOLOURED, WALLS, accent, mix, shade
from magedit.demo.scene import UNITS, Scene, Thing

SUPERSAMPLING: Final = 3
HORIZON: Final = 76
ELEMENT: Final = 8
"""Width of a stripe, a band or a dot, in drawing units: one latent cell, so that it survives the VAE."""

WOOD: Final[RGB] = (122, 84, 54)
METAL: Final[RGB] = (84, 84, 92)
SKY: Final[RGB] = (150, 204, 240)
PAPER: Final[RGB] = (250, 250, 248)
LEAF: Final[RGB] = (70, 150, 78)
DARK_LEAF: Final[RGB] = (46, 118, 62)
INK: Final[RGB] = (44, 44, 50)

Points = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One painted shape of an object: the part it belongs to, its outline in drawing units, its paint."""

    part: str
    outline: Literal["box", "rounded", "ellipse", "polygon"]
    points: Points
    paint: RGB
    pattern: str = "plain"
    second: RGB = PAPER


def _box(part: str, x0: float, y0: float, x1: float, y1: float, paint: RGB) -> Piece:
    return Piece(part=part, outline="box", points=(x0, y0, x1, y1), paint=paint)


def _polygon(part: str, paint: RGB, *points: float) -> Piece:
    return Piece(part=part, outline="polygon", points=points, paint=paint)


def _disc(part: str, x: float, y: float, radius: float, paint: RGB) -> Piece:
    return Piece(part=part, outline="ellipse", points=(x - radius, y - radius, x + radius, y + radius), paint=paint)


def _window(thing: Thing, _: RGB) -> Iterator[Piece]:
    x, y = thing.x, thing.y
    yield _box("frame", x - 16, y - 16, x + 16, y + 16, PAPER)
    for left in (x - 13, x + 2):
        for top in (y - 13, y + 2):
            yield _box("panes", left, top, left + 11, top + 11, SKY)


def _curtain(thing: Thing, paint: RGB) -> Iterator[Piece]:
    x, y = thing.x, thing.y
    for points in ((x - 20, y - 18, x - 8, y + 20), (x + 8, y - 18, x + 20, y + 20)):
        yield _patterned(thing, "drapes", "box", points, paint)
    yield _box("rod", x - 21, y - 20, x + 21, y - 16, WOOD)


def _picture(thing: Thing, paint: RGB) -> Iterator[Piece]:
    x, y = thing.x, thing.y
    yield _box("frame", x - 16, y - 12, x + 16, y + 12, WOOD)
    yield _box("canvas", x - 13, y - 9, x + 13, y + 9, paint)
    hill = (150, 150, 158) if thing.colour == "white" else mix(paint, (255, 255, 255), 0.72)
    yield _polygon("hill", hill, x - 9, y + 9, x, y - 3, x + 9, y + 9)


def _clock(thing: Thing, paint: RGB) -> Iterator[Piece]:
    x, y = thing.x, thing.y
    hands = PAPER if thing.colour in ("black", "blue", "purple") else INK
    yield _disc("rim", x, y, 12, METAL)
    yield _disc("face", x, y, 9.5, paint)
    yield _box("hands", x - 1.5, y - 7, x + 1.5, y + 1.5, hands)
    yield _box("hands", x - 1.5, y - 1.5, x + 6, y + 1.5, hands)


def _lamp(thing: Thing, paint: RGB) -> Iterator[Piece]:
    x, y = thing.x, thing.y
    yield _box("stand", x - 2, y - 46, x + 2, y, METAL)
    yield _box("stand", x - 8, y - 4, x + 8, y, METAL)
    yield _polygon("shade", paint, x - 7, y - 66, x + 7, y - 66, x + 12, y - 44, x - 12, y - 44)


def _plant(thing: Thing, paint: RGB) -> Iterator[Piece]:
    x, y = thing.x, thing.y
    base = y - 18
    for reach, height, leaf in ((-13, 16, DARK_LEAF), (13, 16, DARK_LEAF), (-9, 28, LEAF), (9, 28, LEAF)):
        tip_x, tip_y = x + reach, base - height
        middle_x, middle_y = x + reach * 0.75, base - height * 0.45
        yield _polygon(
            "leaves",
            leaf,
            x - 4,
            base,
            middle_x - 4,
            middle_y,
            tip_x,
            tip_y,
            middle_x + 4,
            middle_y,
            x + 4,
            base,
        )
    yield _polygon("leaves", DARK_LEAF, x - 4, base, x - 5, base - 16, x, base - 34, x + 5, base - 16, x + 4, base)
    yield _polygon("pot", paint, x - 11, y - 20, x + 11, y - 20, x + 8, y, x - 8, y)


def _sofa(thing: Thing, paint: RGB) -> Iterator[Piece]:
    x, y = thing.x, thing.y
    for left in (x - 34, x + 30):
        yield _box("legs", left, y + 20, left + 4, y + 26, WOOD)
    yield _patterned(thing, "body", "rounded", (x - 32, y - 20, x + 32, y + 12), paint)
    yield _box("body", x - 32, y + 8, x + 32, y + 22, shade(paint))
    for points in ((x - 40, y - 6, x - 28, y + 22), (x + 28, y - 6, x + 40, y + 22)):
        yield Piece(part="body", outline="rounded", points=points, paint=paint)


def _pillow(thing: Thing, paint: RGB) -> Iterator[Piece]:
    x, y = thing.x, thing.y
    edge = Piece(part="cover", outline="rounded", points=(x - 11, y - 12, x + 11, y + 10), paint=shade(paint))
    yield edge
    yield _patterned(thing, "cover", "rounded", (x - 10, y - 11, x + 10, y + 9), paint)


def _carpet(thing: Thing, paint: RGB) -> Iterator[Piece]:
    x, y = thing.x, thing.y
    if thing.form == "round":
        yield _patterned(thing, "cloth", "ellipse", (x - 46, y - 14, x + 46, y + 14), paint)
    else:
        points = (x - 40, y - 12, x + 40, y - 12, x + 48, y + 14, x - 48, y + 14)
        yield _patterned(thing, "cloth", "polygon", points, paint)


def _table(thing: Thing, paint: RGB) -> Iterator[Piece]:
    x, y = thing.x, thing.y
    for left in (x - 16, x + 10):
        yield _box("legs", left, y - 16, left + 6, y, shade(paint))
    yield _box("board", x - 20, y - 24, x + 20, y - 16, paint)


def _ball(thing: Thing, paint: RGB) -> Iterator[Piece]:
    x, y = thing.x, thing.y
    yield _disc("surface", x, y - 11, 11, shade(paint))
    yield _disc("surface", x, y - 11, 9.5, paint)
    yield _disc("surface", x - 3, y - 14, 2.5, mix(paint, (255, 255, 255), 0.7))


def _patterned(
    thing: Thing,
    part: str,
    outline: Literal["box", "rounded", "ellipse", "polygon"],
    points: Points,
    paint: RGB,
) -> Piece:
    second = accent(thing.colour) if thing.colour else PAPER
    return Piece(part=part, outline=outline, points=points, paint=paint, pattern=thing.pattern, second=second)


_SHAPES: Final = {
    "window": _window,
    "curtain": _curtain,
    "picture": _picture,
    "clock": _clock,
    "lamp": _lamp,
    "plant": _plant,
    "sofa": _sofa,
    "pillow": _pillow,
    "carpet": _carpet,
    "table": _table,
    "ball": _ball,
}


def pieces(thing: Thing) -> tuple[Piece, ...]:
    """The painted shapes of an object, back to front."""
    return tuple(_SHAPES[thing.kind](thing, COLOURS[thing.colour] if thing.colour else PAPER))


def parts(kind: str) -> tuple[str, ...]:
    """The names of the parts of a class, e.g. ("stand", "shade") for a lamp."""
    colour = None if kind in UNCOLOURED else "red"
    return tuple(dict.fromkeys(piece.part for piece in pieces(Thing(kind=kind, x=64, y=64, colour=colour))))


def _outline(
    draw: ImageDraw.ImageDraw, piece: Piece, scale: float, offset: tuple[float, float], fill: RGB | int
) -> None:
    origin_x, origin_y = offset
    points = [value * scale - (origin_y if index % 2 else origin_x) for index, value in enumerate(piece.points)]
    if piece.outline == "polygon":
        draw.polygon(points, fill=fill)
        return
    x0, y0, x1, y1 = points
    corners = (x0, y0, x1 - 1, y1 - 1)  # Pillow's boxes include their last row and column
    if piece.outline == "box":
        draw.rectangle(corners, fill=fill)
    elif piece.outline == "ellipse":
        draw.ellipse(corners, fill=fill)
    else:
        draw.rounded_rectangle(corners, radius=5 * scale, fill=fill)


def _bounds(piece: Piece) -> tuple[float, float, float, float]:
    xs, ys = piece.points[0::2], piece.points[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _tile(piece: Piece, scale: float, size: tuple[int, int]) -> Image.Image:
    """The piece's pattern over its bounding box, anchored at the box's top left corner."""
    tile = Image.new("RGB", size, piece.paint)
    draw = ImageDraw.Draw(tile)
    step = ELEMENT * scale
    columns, rows = int(size[0] / step) + 1, int(size[1] / step) + 1
    if piece.pattern == "striped":
        for column in range(1, columns, 2):
            draw.rectangle((column * step, 0, (column + 1) * step - 1, size[1]), fill=piece.second)
    elif piece.pattern == "dotted":
        for row in range(rows):
            for column in range(row % 2, columns, 2):
                x, y = column * step, row * step
                draw.ellipse((x + 0.25 * scale, y + 0.25 * scale, x + step, y + step), fill=piece.second)
    elif piece.pattern == "checked":
        for row in range(rows):
            for column in range(row % 2, columns, 2):
                corner = (column * step, row * step, (column + 1) * step - 1, (row + 1) * step - 1)
                draw.rectangle(corner, fill=piece.second)
    elif piece.pattern == "zigzag":
        for row in range(-1, rows + 1, 2):
            edge = [(column * step, (row + column % 2) * step) for column in range(columns + 2)]
            draw.polygon([*edge, *((x, y + step) for x, y in reversed(edge))], fill=piece.second)
    else:
        half = mix(piece.paint, piece.second, 0.5)
        for column in range(0, columns, 2):
            draw.rectangle((column * step, 0, (column + 1) * step - 1, size[1]), fill=half)
        for row in range(0, rows, 2):
            draw.rectangle((0, row * step, size[0], (row + 1) * step - 1), fill=half)
            for column in range(0, columns, 2):
                corner = (column * step, row * step, (column + 1) * step - 1, (row + 1) * step - 1)
                draw.rectangle(corner, fill=piece.second)
    return tile


def _paint(canvas: Image.Image, draw: ImageDraw.ImageDraw, piece: Piece, scale: float) -> None:
    if piece.pattern == "plain":
        _outline(draw, piece, scale, (0, 0), piece.paint)
        return
    x0, y0, x1, y1 = (round(value * scale) for value in _bounds(piece))
    stencil = Image.new("L", (x1 - x0, y1 - y0))
    _outline(ImageDraw.Draw(stencil), piece, scale, (x0, y0), 255)
    canvas.paste(_tile(piece, scale, stencil.size), (x0, y0), stencil)


def draw_scene(scene: Scene, size: int = UNITS) -> Image.Image:
    """The picture of a room: RGB, `size` x `size` pixels."""
    scale = size * SUPERSAMPLING / UNITS
    canvas = Image.new("RGB", (size * SUPERSAMPLING,) * 2, WALLS[scene.wall])
    draw = ImageDraw.Draw(canvas)
    end = canvas.width
    draw.rectangle((0, HORIZON * scale, end, end), fill=FLOORS[scene.floor])
    draw.rectangle((0, HORIZON * scale, end, (HORIZON + 4) * scale - 1), fill=PAPER)
    for thing in scene.things:
        for piece in pieces(thing):
            _paint(canvas, draw, piece, scale)
    return canvas.reduce(SUPERSAMPLING)


def draw_mask(scene: Scene, thing: Thing, part: str | None = None, size: int = UNITS) -> Image.Image:
    """Mask of the visible pixels of an object or one of its parts: "L", `size` x `size`, 255 inside, 0 outside.

    Pixels covered by other objects are excluded. The mask of an object that is not in the room is empty.

    Raises:
        ValueError: the class has no part of this name.
    """
    if part is not None and part not in parts(thing.kind):
        raise ValueError(f"a {thing.kind} has no part {part!r}: it has {', '.join(parts(thing.kind))}")
    scale = size * SUPERSAMPLING / UNITS
    canvas = Image.new("L", (size * SUPERSAMPLING,) * 2)
    draw = ImageDraw.Draw(canvas)
    for other in scene.things:
        for piece in pieces(other):
            shown = other == thing and part in (None, piece.part)
            _outline(draw, piece, scale, (0, 0), 255 if shown else 0)
    return canvas.reduce(SUPERSAMPLING).point(lambda value: 255 if value else 0)
