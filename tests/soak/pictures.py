"""What the callers send: one small picture, one mask, and a few kinds of edits.

No kind draws anything random, so that every result of one kind has the same bytes: a picture under the wrong edit
shows.
"""

from __future__ import annotations

from typing import Any, Final

from PIL import Image, ImageDraw

SIZE = (64, 48)
"""Width and height in pixels."""

VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "guided": {"steps": 2, "max_iterations": 1, "method": "mag-edit"},
    "plain": {"steps": 2, "max_iterations": 1, "method": "p2p"},
    "plain, three steps": {"steps": 3, "max_iterations": 1, "method": "p2p"},
    "webp": {"steps": 2, "max_iterations": 1, "method": "p2p", "output_format": "webp"},
    "low": {"steps": 2, "max_iterations": 1, "method": "p2p", "priority": "low"},
    "with a deadline": {"steps": 2, "max_iterations": 1, "method": "mag-edit", "deadline_s": 3600},
    "other mask": {"steps": 2, "max_iterations": 1, "method": "p2p", "mask_mode": "black"},
    # Seconds, so that faults find workers with an edit in hand.
    "long": {"steps": 40, "max_iterations": 1, "method": "p2p"},
    "long, guided": {"steps": 40, "max_iterations": 1, "method": "mag-edit"},
}
"""Fields of the form by kind."""


def picture() -> Image.Image:
    """The picture to edit."""
    image = Image.linear_gradient("L").resize(SIZE).convert("RGB")
    ImageDraw.Draw(image).ellipse((16, 16, 48, 40), fill="red")
    return image


def mask() -> Image.Image:
    """Its mask, white on black."""
    image = Image.new("L", SIZE, 0)
    ImageDraw.Draw(image).ellipse((16, 16, 48, 40), fill=255)
    return image
