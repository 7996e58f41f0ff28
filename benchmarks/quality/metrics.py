"""Additional measures of an edit against its known truth (see `magedit.demo.evaluate`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def luma(picture: Image.Image) -> NDArray[np.float64]:
    """ITU-R BT.601 luma of a picture, (height, width), 0..255."""
    return np.asarray(picture.convert("L"), dtype=np.float64)


def edges(picture: Image.Image) -> NDArray[np.float64]:
    """Magnitude of the luma's gradient by central differences, (height, width)."""
    rows, columns = np.gradient(luma(picture))
    magnitude: NDArray[np.float64] = np.hypot(rows, columns)
    return magnitude


def structure(result: Image.Image, truth: Image.Image, inside: NDArray[np.bool_]) -> float:
    """Correlation, -1..1, of the edges of two pictures of one size over the pixels ``inside``.

    1: the same shapes, whatever their colours. 0 where either has no edge at all.
    """
    one, other = edges(result)[inside], edges(truth)[inside]
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum() / norm) if norm > 1e-9 else 0.0
