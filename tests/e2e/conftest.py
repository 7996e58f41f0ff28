"""The whole service as processes: front end, worker with a real tiny checkpoint, Redis, S3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

PROMPTS: dict[str, Any] = {"source_prompt": "a room with a red carpet", "target_prompt": "a room with a yellow carpet"}
QUICK: dict[str, Any] = {"steps": 4, "max_iterations": 1}
"""A small edit."""
LONG: dict[str, Any] = {"steps": 250, "max_iterations": 100}
"""An edit that does not end by itself while a test runs."""
SIZE = (200, 150)


def room() -> Image.Image:
    """A picture to edit."""
    image = Image.linear_gradient("L").resize(SIZE).convert("RGB")
    ImageDraw.Draw(image).ellipse((60, 80, 140, 130), fill="red")
    return image


def carpet() -> Image.Image:
    """Its mask."""
    mask = Image.new("L", SIZE, 0)
    ImageDraw.Draw(mask).ellipse((60, 80, 140, 130), fill=255)
    return mask


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Image and mask as files."""
    folder = tmp_path_factory.mktemp("pictures")
    image, mask = folder / "room.png", folder / "carpet.png"
    room().save(image)
    carpet().save(mask)
    return image, mask
