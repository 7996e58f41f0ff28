import numpy as np
from PIL import Image, ImageDraw

from benchmarks.quality.metrics import edges, luma, structure

EVERYWHERE = np.ones((32, 32), dtype=bool)


def _box(paint: str, left: int = 8) -> Image.Image:
    picture = Image.new("RGB", (32, 32), "white")
    ImageDraw.Draw(picture).rectangle((left, 8, left + 12, 20), fill=paint)
    return picture


def test_luma_of_known_colours() -> None:
    assert [luma(Image.new("RGB", (1, 1), paint))[0, 0] for paint in ("white", "black", "lime")] == [255, 0, 150]


def test_a_step_has_an_edge_of_half_its_height_on_both_sides() -> None:
    step = Image.new("L", (4, 2))
    step.paste(100, (2, 0, 4, 2))
    assert edges(step).tolist() == [[0, 50, 50, 0]] * 2


def test_structure_sees_shapes_and_not_colours() -> None:
    assert structure(_box("red"), _box("red"), EVERYWHERE) == 1
    assert structure(_box("red"), _box("blue"), EVERYWHERE) > 0.99
    assert structure(_box("red"), _box("red", left=14), EVERYWHERE) < 0.6


def test_without_edges_structure_is_zero() -> None:
    assert structure(Image.new("RGB", (32, 32)), _box("red"), EVERYWHERE) == 0
