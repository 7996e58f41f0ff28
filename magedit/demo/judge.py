"""Recognition of a room's objects by rendering every candidate object, colour, pattern and position.

This is analysis by synthesis, without a trained classifier. Its accuracy on true pictures is the upper bound for
generated ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from magedit.demo.captions import Mention
from magedit.demo.draw import SKY, draw_mask, draw_scene
from magedit.demo.palette import COLOURS, PATTERNED, PATTERNS, UNCOLOURED
from magedit.demo.scene import FRONT_SLOTS, GRID, PILLOW_SLOTS, SIDE_SLOTS, UNITS, WALL_SLOTS, Scene, Thing

NEAR: Final = 40.0
"""Distance in sRGB (of at most 441) below which two colours count as the same."""
SEEN: Final = 0.55
"""Share of a thing's pixels that must be of the expected colour for it to count as drawn."""
OWN: Final = 0.45
"""The same among the pixels of its main paint, or a pale pattern would be seen in every bare wall."""
CONTRAST: Final = 0.3
"""How much larger that share must be than the share of its paint in the ring around it: a thing has an
edge."""
RING: Final = 2
"""Width of that ring in pixels."""


@dataclass(frozen=True)
class Found:
    """The best-matching object in a picture, and the share of its pixels that agree."""

    thing: Thing
    share: float


@dataclass(frozen=True)
class _Template:
    thing: Thing
    rows: slice
    columns: slice
    inside: NDArray[np.bool_]
    ring: NDArray[np.bool_]
    colours: NDArray[np.float32]
    paint: NDArray[np.float32]
    own: NDArray[np.bool_]


def _around(centre: int, reach: int) -> range:
    return range(centre - reach, centre + reach + 1, GRID)


def places(kind: str) -> Iterator[tuple[int, int, str, str]]:
    """Every x, y, side and form at which `scene.sample_scene` may put a class."""
    if kind in ("window", "curtain", "picture", "clock"):
        for side, slot in WALL_SLOTS.items():
            yield from ((x, y, side, "") for x, y in product(_around(slot, 4), _around(24, 4)))
    elif kind == "sofa":
        yield from ((x, y, "middle", "") for x, y in product(_around(64, 4), _around(72, 4)))
    elif kind == "pillow":
        for side, shift in PILLOW_SLOTS.items():
            yield from ((x, y, side, "") for x, y in product(_around(64 + shift, 4), _around(72, 4)))
    elif kind in ("lamp", "plant"):
        for side, slot in SIDE_SLOTS.items():
            yield from ((slot, y, side, "") for y in _around(104, 4))
    elif kind == "carpet":
        yield from ((x, 112, "middle", form) for x, form in product(_around(64, 8), ("round", "square")))
    else:
        for side, slot in FRONT_SLOTS.items():
            yield from ((x, 120, side, "") for x in _around(slot, 8))


@cache
def _templates(kind: str) -> tuple[_Template, ...]:
    colours = (None,) if kind in UNCOLOURED else tuple(COLOURS)
    patterns = PATTERNS if kind in PATTERNED else PATTERNS[:1]
    templates = []
    for (x, y, side, form), colour, pattern in product(places(kind), colours, patterns):
        thing = Thing(kind=kind, x=x, y=y, side=side, form=form, colour=colour, pattern=pattern)
        scene = Scene(wall="cream", floor="grey", things=(thing,))
        mask = draw_mask(scene, thing)
        wide = mask.filter(ImageFilter.MaxFilter(2 * RING + 1))
        if kind == "window":  # a curtain may hide its sides
            mask.paste(0, (0, 0, x - 8, UNITS))
            mask.paste(0, (x + 8, 0, UNITS, UNITS))
        box = wide.getbbox()
        if box is None:
            continue
        left, top, right, bottom = box
        inside = np.asarray(mask.crop(box)) > 0
        colours_inside = np.asarray(draw_scene(scene).crop(box), dtype=np.float32)
        paint = np.array(COLOURS[colour] if colour else SKY, dtype=np.float32)
        templates.append(
            _Template(
                thing,
                slice(top, bottom),
                slice(left, right),
                inside,
                (np.asarray(wide.crop(box)) > 0) & ~inside,
                colours_inside,
                paint,
                np.square(colours_inside - paint).sum(-1)[inside] < NEAR**2,
            )
        )
    return tuple(templates)


def find_things(picture: Image.Image, kind: str, hidden: Image.Image | None = None) -> list[Found]:
    """The objects of a class shown in a picture of a demo room, at most one per side.

    The picture can have any size; it is judged at 128 x 128 pixels. Pixels where `hidden` ("L", 128 x 128) is not 0 are
    ignored: something else stands in front.
    """
    seen = np.ones((UNITS, UNITS), bool) if hidden is None else np.asarray(hidden) == 0
    pixels = np.asarray(picture.convert("RGB").resize((UNITS, UNITS)), dtype=np.float32)
    best: dict[str, Found] = {}
    closest: dict[str, float] = {}
    for template in _templates(kind):
        there = pixels[template.rows, template.columns]
        shown = seen[template.rows, template.columns][template.inside]
        own = template.own & shown
        if not own.any():
            continue
        distance = np.sqrt(np.square(there - template.colours).sum(-1))[template.inside]
        near = distance < NEAR
        share = float(near[shown].mean())
        if share < SEEN or float(near[own].mean()) < OWN:
            continue
        ring = np.square(there[template.ring] - template.paint).sum(-1) < NEAR**2
        slot = template.thing.side
        error = float(np.minimum(distance[shown], 2 * NEAR).mean())
        if share - float(ring.mean()) >= CONTRAST and error < closest.get(slot, np.inf):
            best[slot], closest[slot] = Found(template.thing, share), error
    return list(best.values())


def satisfied(mention: Mention, found: list[Found], where: bool) -> bool:
    """Whether the objects found match the mention in number, colour and pattern; with `where`, also in side."""
    if mention.negated:
        return not found
    right = [
        one
        for one in found
        if mention.colour in (None, one.thing.colour)
        and mention.pattern in (None, one.thing.pattern)
        and (not where or mention.side in (None, one.thing.side))
    ]
    return len(right) >= len(mention.things)


def shows(picture: Image.Image, thing: Thing, scene: Scene) -> bool:
    """Whether a picture shows an object of `scene` in its colour and pattern, on its side.

    The part hidden by other objects of the scene is not compared.
    """
    alone = draw_mask(replace(scene, things=(thing,)), thing)
    hidden = ImageChops.subtract(alone, draw_mask(scene, thing))
    return any(
        (one.thing.colour, one.thing.pattern, one.thing.side) == (thing.colour, thing.pattern, thing.side)
        for one in find_things(picture, thing.kind, hidden)
    )
