"""Data model of a room: its objects with position, colour and pattern.

Lengths are drawing units: a picture is 128 x 128 units, origin at the top left, whatever its size in pixels.
Positions lie on a grid of `GRID` units (half a latent cell of a checkpoint with a VAE factor of 8 at 128 px).
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from magedit.demo.palette import (
    COLOURS,
    FLOORS,
    KINDS,
    MORE_PATTERNS,
    PATTERNED,
    PATTERNS,
    SIDES,
    UNCOLOURED,
    WALLS,
)

UNITS: Final = 128
GRID: Final = 4
WALL_SLOTS: Final = {"left": 24, "middle": 64, "right": 104}
SIDE_SLOTS: Final = {"left": 14, "right": 114}
FRONT_SLOTS: Final = {"left": 36, "right": 92}
PILLOW_SLOTS: Final = {"left": -16, "right": 16}
PLACES: Final = (
    (("window", "picture", "clock"), WALL_SLOTS),
    (("lamp", "plant"), SIDE_SLOTS),
    (("table", "ball"), FRONT_SLOTS),
    (("pillow",), PILLOW_SLOTS),
)
"""Classes that share places, and where these are: where a twin can stand."""
SOFA_SHIFTS: Final = {"left": -20, "right": 20}
"""How far a sofa of `sample_varied_scene` may stand from the middle."""
PAINT_ORDER: Final = (
    "window",
    "curtain",
    "picture",
    "clock",
    "carpet",
    "sofa",
    "pillow",
    "lamp",
    "plant",
    "table",
    "ball",
)


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One object of a room.

    `x`, `y` is the anchor in drawing units (`magedit.demo.draw` defines it per class); `side` is the word that
    distinguishes it from others of its class; `form` is a variant of the shape ("round" or "square" carpet).
    """

    kind: str
    x: int
    y: int
    side: str = "middle"
    colour: str | None = None
    pattern: str = "plain"
    form: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"class {self.kind!r} is unknown: use one of {', '.join(KINDS)}")
        if (self.colour is None) != (self.kind in UNCOLOURED) or self.colour not in (None, *COLOURS):
            raise ValueError(f"colour {self.colour!r} does not suit a {self.kind}: use one of {', '.join(COLOURS)}")
        patterns = PATTERNS + MORE_PATTERNS if self.kind in PATTERNED else PATTERNS[:1]
        if self.pattern not in patterns:
            raise ValueError(f"pattern {self.pattern!r} does not suit a {self.kind}: use one of {', '.join(patterns)}")
        if self.side not in SIDES:
            raise ValueError(f"side {self.side!r} is unknown: use one of {', '.join(SIDES)}")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A room: wall and floor (names from `palette`) and objects in painting order, back to front."""

    wall: str
    floor: str
    things: tuple[Thing, ...]

    def find(self, kind: str, side: str | None = None) -> Thing:
        """The object of this class (and side).

        Raises:
            ValueError: the room has no such object, or several.
        """
        found = [thing for thing in self.things if thing.kind == kind and side in (None, thing.side)]
        if len(found) != 1:
            here = ", ".join(f"{thing.side} {thing.kind}" for thing in self.things)
            raise ValueError(f"{side or ''} {kind!r} names {len(found)} things in this room, which has {here}")
        return found[0]

    def change(self, old: Thing, new: Thing) -> "Scene":
        """The same room with `old` replaced by `new`."""
        return self.with_things(new if thing == old else thing for thing in self.things)

    def with_things(self, things: Iterable[Thing]) -> "Scene":
        """The same wall and floor with these objects, sorted into painting order."""
        ordered = sorted(things, key=lambda thing: (PAINT_ORDER.index(thing.kind), thing.x))
        return replace(self, things=tuple(ordered))


def clashes(scene: Scene) -> bool:
    """Whether an object would be invisible in front of another one of the same colour."""
    behind = {"pillow": "sofa", "table": "carpet", "ball": "carpet"}
    colours = {thing.kind: thing.colour for thing in scene.things}
    return any(colours.get(behind.get(thing.kind, ""), "") == thing.colour for thing in scene.things)


def with_twin(scene: Scene, thing: Thing, rng: random.Random) -> Scene | None:
    """The room with a second, identical object in a free slot or in place of another object; None without a slot."""
    kinds, slots = next(((kinds, slots) for kinds, slots in PLACES if thing.kind in kinds), ((), {}))
    others = [side for side in slots if side != thing.side]
    if not others:
        return None
    holders = {other.side: other for other in scene.things if other.kind in kinds}
    free = [side for side in others if side not in holders]
    twins = [side for side in others if side in holders and holders[side].kind == thing.kind]
    taken = [side for side in others if side in holders and holders[side].kind != "window"]  # a curtain hangs there
    side = rng.choice(twins or free or taken or [thing.side])
    if side == thing.side:
        return None
    twin = replace(thing, x=thing.x + slots[side] - slots[thing.side], side=side)
    return scene.with_things([*(other for other in scene.things if other != holders.get(side)), twin])


def _jitter(rng: random.Random, reach: int) -> int:
    return GRID * rng.randint(-(reach // GRID), reach // GRID)


def _surface(rng: random.Random, kind: str, plain: float) -> tuple[str, str]:
    pattern = "plain"
    if kind in PATTERNED and rng.random() >= plain:
        pattern = rng.choice(PATTERNS[1:])
    return rng.choice(tuple(COLOURS)), pattern


def _wall_things(rng: random.Random) -> list[Thing]:
    things = []
    kinds = [kind for kind, share in (("window", 0.6), ("picture", 0.5), ("clock", 0.5)) if rng.random() < share]
    for kind, slot in zip(kinds, rng.sample(sorted(WALL_SLOTS), len(kinds)), strict=True):
        x, y = WALL_SLOTS[slot] + _jitter(rng, 4), 24 + _jitter(rng, 4)
        colour = None if kind in UNCOLOURED else rng.choice(tuple(COLOURS))
        things.append(Thing(kind=kind, x=x, y=y, side=slot, colour=colour))
        if kind == "window" and rng.random() < 0.6:
            colour, pattern = _surface(rng, "curtain", 0.5)
            things.append(Thing(kind="curtain", x=x, y=y, side=slot, colour=colour, pattern=pattern))
    return things


def _sofa(rng: random.Random) -> list[Thing]:
    x, y = 64 + _jitter(rng, 4), 72 + _jitter(rng, 4)
    colour, pattern = _surface(rng, "sofa", 0.55)
    things = [Thing(kind="sofa", x=x, y=y, colour=colour, pattern=pattern)]
    number = rng.choices((0, 1, 2), (0.2, 0.25, 0.55))[0]
    for slot in rng.sample(sorted(PILLOW_SLOTS), number):
        colour, pattern = _surface(rng, "pillow", 0.7)
        things.append(Thing(kind="pillow", x=x + PILLOW_SLOTS[slot], y=y, side=slot, colour=colour, pattern=pattern))
    pillows = things[1:]
    if number == 2 and rng.random() < 0.3:  # a pair: the plural of the captions
        things[2] = replace(pillows[1], colour=pillows[0].colour, pattern=pillows[0].pattern)
    return things


def _floor_things(rng: random.Random) -> list[Thing]:
    things = []
    kinds = [kind for kind in ("lamp", "plant") if rng.random() < 0.55]
    for kind, slot in zip(kinds, rng.sample(sorted(SIDE_SLOTS), len(kinds)), strict=True):
        y = 104 + _jitter(rng, 4)
        things.append(Thing(kind=kind, x=SIDE_SLOTS[slot], y=y, side=slot, colour=rng.choice(tuple(COLOURS))))
    if rng.random() < 0.7:
        colour, pattern = _surface(rng, "carpet", 0.5)
        form = rng.choice(("round", "square"))
        x = 64 + _jitter(rng, 8)
        things.append(Thing(kind="carpet", x=x, y=112, colour=colour, pattern=pattern, form=form))
    kinds = [kind for kind, share in (("table", 0.3), ("ball", 0.4)) if rng.random() < share]
    for kind, slot in zip(kinds, rng.sample(sorted(FRONT_SLOTS), len(kinds)), strict=True):
        x, y = FRONT_SLOTS[slot] + _jitter(rng, 8), 120
        things.append(Thing(kind=kind, x=x, y=y, side=slot, colour=rng.choice(tuple(COLOURS))))
    return things


def sample_scene(rng: random.Random) -> Scene:
    """A random room with 2 to 9 objects, each of them visible against those behind it."""
    while True:
        things = _wall_things(rng) + (_sofa(rng) if rng.random() < 0.85 else []) + _floor_things(rng)
        scene = Scene(wall=rng.choice(tuple(WALLS)), floor=rng.choice(tuple(FLOORS)), things=())
        scene = scene.with_things(things)
        if 2 <= len(things) <= 9 and not clashes(scene):
            return scene


def sample_varied_scene(rng: random.Random) -> Scene:
    """A more varied random room than `sample_scene`: the sofa also on the left or right, and `MORE_PATTERNS`."""
    scene = sample_scene(rng)
    side = rng.choice((None, *SOFA_SHIFTS))
    shift = SOFA_SHIFTS[side] if side else 0
    things = []
    for thing in scene.things:
        moved = thing
        if thing.kind in ("sofa", "pillow"):
            moved = replace(thing, x=thing.x + shift, side=side if side and thing.kind == "sofa" else thing.side)
        if moved.pattern != "plain" and rng.random() < 0.6:
            moved = replace(moved, pattern=rng.choice(MORE_PATTERNS))
        things.append(moved)
    return scene.with_things(things)


def sample_twin_scene(rng: random.Random) -> Scene:
    """A random room as `sample_scene`'s with two objects of one class, alike or painted differently."""
    while True:
        scene = sample_scene(rng)
        thing = rng.choice(scene.things)
        crowded = with_twin(scene, thing, rng)
        if crowded is None:
            continue
        if thing.colour and rng.random() < 0.5:
            colour, pattern = _surface(rng, thing.kind, 0.5)
            crowded = crowded.change(thing, replace(thing, colour=colour, pattern=pattern))
        if not clashes(crowded):
            return crowded
