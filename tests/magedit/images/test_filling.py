"""Filling continues what is around the mask and changes nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from magedit.images.filling import fill


def _mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


@pytest.mark.parametrize("size", [(128, 128), (97, 61), (5, 3)])
def test_a_thing_on_a_plain_wall_vanishes(size: tuple[int, int]) -> None:
    wall = Image.new("RGB", size, (206, 228, 212))
    box = (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2)
    shown = wall.copy()
    ImageDraw.Draw(shown).rectangle(box, fill="red")
    assert np.array_equal(np.asarray(fill(shown, _mask(size, box))), np.asarray(wall))


def test_a_gradient_goes_on_through_the_mask() -> None:
    levels = np.linspace(20, 230, 96).astype(np.uint8)
    picture = np.stack([np.tile(levels, (64, 1))] * 3, -1)
    shown = picture.copy()
    shown[20:40, 30:60] = 0
    filled = np.asarray(fill(Image.fromarray(shown), _mask((96, 64), (30, 20, 59, 39))))
    assert np.abs(filled.astype(int) - picture).max() <= 6


def test_only_the_mask_and_a_narrow_edge_change() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    filled = np.asarray(fill(Image.fromarray(noise), _mask((64, 64), (20, 20, 40, 40))))
    changed = (filled != noise).any(-1)
    assert changed[20:41, 20:41].mean() > 0.9
    changed[19:42, 19:42] = False
    assert not changed.any()


def test_without_surroundings_the_mean_colour_remains() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4] = 100
    assert np.unique(np.asarray(fill(Image.fromarray(picture), Image.new("L", (8, 8), 255)))).tolist() == [50]


def test_an_empty_mask_changes_nothing() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 7, 3), np.uint8))
    assert np.array_equal(np.asarray(fill(noise, Image.new("L", (7, 9)))), np.asarray(noise))
