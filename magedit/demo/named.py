"""Named edits for documentation and tests."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from magedit.demo.edits import DemoEdit
from magedit.demo.scene import Scene, Thing


def _room(wall: str, floor: str, *things: Thing) -> Scene:
    return Scene(wall=wall, floor=floor, things=()).with_things(things)


def _carpet_demo() -> DemoEdit:
    scene = _room(
        "cream",
        "grey",
        Thing(kind="window", x=64, y=24),
        Thing(kind="picture", x=104, y=24, side="right", colour="red"),
        Thing(kind="carpet", x=64, y=112, colour="red", form="round"),
        Thing(kind="sofa", x=64, y=72, colour="blue"),
        Thing(kind="lamp", x=14, y=104, side="left", colour="red"),
        Thing(kind="plant", x=114, y=104, side="right", colour="white"),
    )
    source = "a room with a window, a red picture, a blue sofa, a red lamp, a plant in a white pot and a red carpet"
    return DemoEdit(
        name="carpet",
        kind="colour",
        source=scene,
        target=scene.change(scene.find("carpet"), replace(scene.find("carpet"), colour="yellow")),
        source_prompt=source,
        target_prompt=source.replace("red carpet", "yellow carpet"),
        words=("yellow carpet",),
    )


def _pillow_demo() -> DemoEdit:
    """Two identical pillows; only the mask tells which one the prompt means."""
    scene = _room(
        "mint",
        "wooden",
        Thing(kind="window", x=60, y=24),
        Thing(kind="curtain", x=60, y=24, colour="yellow"),
        Thing(kind="clock", x=20, y=28, side="left", colour="purple"),
        Thing(kind="carpet", x=64, y=112, colour="green", pattern="striped", form="round"),
        Thing(kind="sofa", x=68, y=68, colour="green", pattern="striped"),
        Thing(kind="pillow", x=52, y=68, side="left", colour="pink"),
        Thing(kind="pillow", x=84, y=68, side="right", colour="pink"),
        Thing(kind="lamp", x=14, y=108, side="left", colour="red"),
        Thing(kind="ball", x=44, y=120, side="left", colour="white"),
    )
    before = "a room with a window, a yellow curtain, a purple clock, a striped green carpet, a striped green sofa"
    right = scene.find("pillow", "right")
    return DemoEdit(
        name="pillow",
        kind="colour",
        complexity="complex",
        source=scene,
        target=scene.change(right, replace(right, colour="red")),
        source_prompt=f"{before}, a pink pillow, a pink pillow, a red lamp and a white ball",
        target_prompt=f"{before}, a pink pillow, a red pillow, a red lamp and a white ball",
        words=("red pillow",),
    )


def _picture_demo() -> DemoEdit:
    """Two identical pictures on one wall; only the mask tells which one the words mean."""
    scene = _room(
        "cream",
        "grey",
        Thing(kind="window", x=64, y=24),
        Thing(kind="picture", x=24, y=24, side="left", colour="red"),
        Thing(kind="picture", x=104, y=24, side="right", colour="red"),
        Thing(kind="sofa", x=64, y=72, colour="green", pattern="striped"),
        Thing(kind="lamp", x=14, y=104, side="left", colour="orange"),
        Thing(kind="carpet", x=64, y=112, colour="blue", form="round"),
        Thing(kind="ball", x=44, y=120, side="left", colour="white"),
    )
    before = "a room with a window, a striped green sofa, a blue carpet, a white ball, an orange lamp, a red picture"
    right = scene.find("picture", "right")
    return DemoEdit(
        name="picture",
        kind="colour",
        complexity="complex",
        source=scene,
        target=scene.change(right, replace(right, colour="purple")),
        source_prompt=f"{before} and a red picture",
        target_prompt=f"{before} and a purple picture",
        words=("purple picture",),
    )


def _lamp_demo() -> DemoEdit:
    scene = _room(
        "lavender",
        "brown",
        Thing(kind="window", x=104, y=24, side="right"),
        Thing(kind="curtain", x=104, y=24, side="right", colour="orange"),
        Thing(kind="picture", x=64, y=24, colour="white"),
        Thing(kind="sofa", x=64, y=72, colour="green"),
        Thing(kind="lamp", x=14, y=104, side="left", colour="orange"),
        Thing(kind="carpet", x=64, y=112, colour="white", form="round"),
    )
    source = "a room with a window, an orange curtain, a white picture, a green sofa, a white carpet and an orange lamp"
    return DemoEdit(
        name="lamp",
        kind="part",
        source=scene,
        target=scene.change(scene.find("lamp"), replace(scene.find("lamp"), colour="purple")),
        source_prompt=source,
        target_prompt=source.replace("an orange lamp", "a purple lamp"),
        words=("purple lamp",),
    )


DEMO_EDITS: Final[dict[str, Callable[[], DemoEdit]]] = {
    "carpet": _carpet_demo,
    "picture": _picture_demo,
    "pillow": _pillow_demo,
    "lamp": _lamp_demo,
}


def demo_edit(name: str = "picture") -> DemoEdit:
    """One of the fixed edits.

    Raises:
        ValueError: no edit has this name.
    """
    if name not in DEMO_EDITS:
        raise ValueError(f"demo edit {name!r} is unknown: use one of {', '.join(DEMO_EDITS)}")
    return DEMO_EDITS[name]()
