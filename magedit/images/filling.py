"""Harmonic filling of a mask from the colours around it. Free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from PIL import Image, ImageFilter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EDGE: Final = 1 / 64
"""Width of the edge around the mask that is filled too, as a share of the picture's side: it shows the old thing."""
SWEEPS: Final = 32
"""Relaxations of Laplace's equation at each size."""


def fill(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """``picture`` (RGB) with harmonic colours (Laplace's equation) inside ``mask`` (L, 0/255, of the same size) and a
    narrow edge around it, from half the size to whole; with nothing outside the mask, its mean colour."""
    import numpy as np

    reach = max(1, round(EDGE * max(picture.size)))
    wide = mask.filter(ImageFilter.MaxFilter(2 * reach + 1))
    colours = np.asarray(picture.convert("RGB"), dtype=np.float32)
    known = np.asarray(wide) == 0
    if known.all():
        return picture
    if not known.any():
        known = np.ones_like(known)
        colours = np.broadcast_to(colours.mean((0, 1), dtype=np.float32), colours.shape)
    return Image.fromarray(_filled(colours, known).round().clip(0, 255).astype(np.uint8))


def _filled(colours: NDArray[np.floating[Any]], known: NDArray[np.bool_]) -> NDArray[np.floating[Any]]:
    """Colours (h, w, 3) whose unknown pixels continue the ``known`` ones (h, w)."""
    import numpy as np

    if known.all():
        return colours
    height, width = known.shape
    # Means of the known pixels in blocks of 2 x 2; blocks at an odd edge are smaller.
    rows, columns = np.arange(0, height, 2), np.arange(0, width, 2)

    def halved(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        sums: NDArray[np.floating[Any]] = np.add.reduceat(np.add.reduceat(values, rows, 0), columns, 1)
        return sums

    weights = halved(known.astype(np.float32))
    means = halved(colours * known[..., None]) / np.maximum(weights, 1)[..., None]
    small = _filled(means, weights > 0)
    found = np.where(known[..., None], colours, small.repeat(2, 0)[:height].repeat(2, 1)[:, :width])
    unknown = ~known
    for _ in range(SWEEPS):
        padded = np.pad(found, ((1, 1), (1, 1), (0, 0)), mode="edge")
        around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        found[unknown] = around[unknown] / 4
    return found
