"""Names and RGB values of the demo: classes, colours, patterns, sides, walls and floors."""

from typing import Final

RGB = tuple[int, int, int]

COLOURS: Final[dict[str, RGB]] = {
    "red": (214, 48, 49),
    "orange": (243, 146, 46),
    "yellow": (246, 211, 62),
    "green": (64, 160, 80),
    "blue": (52, 104, 208),
    "purple": (130, 70, 172),
    "pink": (244, 150, 184),
    "white": (246, 246, 244),
    "black": (44, 44, 50),
}
"""Object colours by name, sRGB in [0, 255]."""

WALLS: Final[dict[str, RGB]] = {
    "cream": (236, 224, 202),
    "mint": (208, 228, 212),
    "lavender": (222, 214, 236),
}
FLOORS: Final[dict[str, RGB]] = {"wooden": (200, 162, 122), "grey": (170, 170, 168), "brown": (140, 112, 100)}

PATTERNS: Final = ("plain", "striped", "dotted", "plaid")
MORE_PATTERNS: Final = ("checked", "zigzag")
"""Patterns of `scene.sample_varied_scene` only: the sets of edits and their judge keep to `PATTERNS`."""
SIDES: Final = ("left", "middle", "right")
KINDS: Final = (
    "window",
    "curtain",
    "picture",
    "clock",
    "lamp",
    "plant",
    "sofa",
    "pillow",
    "carpet",
    "table",
    "ball",
)
PATTERNED: Final = ("curtain", "sofa", "pillow", "carpet")
"""Classes whose surface may carry a pattern."""
UNCOLOURED: Final = ("window",)
"""Classes without a colour of their own."""


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """`a` with `share` (in [0, 1]) of `b` blended in."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def accent(colour: str) -> RGB:
    """The second colour of a pattern on `colour`: much lighter, or grey where the colour is itself white."""
    if colour == "white":
        return (150, 150, 158)
    return mix(COLOURS[colour], (255, 255, 255), 0.72)


def shade(colour: RGB) -> RGB:
    """The colour of the same surface in shade."""
    return mix(colour, (0, 0, 0), 0.22)
