"""Pictures and masks as library callers pass them: Pillow images, numpy arrays, paths. Free of torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from PIL import Image, ImageOps, UnidentifiedImageError

from magedit.errors import InvalidEdit

if TYPE_CHECKING:
    import numpy as np

Picture: TypeAlias = "Image.Image | np.ndarray[Any, Any] | Path | str"
"""A Pillow image; an array (h, w), (h, w, 3) or (h, w, 4) of uint8, of bool or of floats 0..1; a path to a file."""


def as_picture(picture: Picture, field: str) -> Image.Image:
    """``picture`` as a Pillow image; a file is rotated by its EXIF orientation.

    Args:
        picture: see `Picture`. field: its name in the error.

    Raises:
        InvalidEdit: it has another type, or the file cannot be read; names the type and what to pass instead.
    """
    if isinstance(picture, Image.Image):
        return picture
    return _opened(Path(picture), field) if isinstance(picture, str | Path) else _from_array(picture, field)


def as_image(picture: Picture, field: str) -> Image.Image:
    """``picture`` as a Pillow image of 8 bits a channel; arguments and errors as `as_picture`."""
    image = as_picture(picture, field)
    if image.mode == "F":
        raise InvalidEdit(
            f"`{field}` is a Pillow image of mode F, whose range is unknown: convert it to 8 bits (L or RGB)",
            field=field,
        )
    return eight_bits(image)


def eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey (modes I;16 and I) scaled to 8 bits; every other mode as it is."""
    if image.mode.startswith("I"):
        # 65535 / 257 = 255: black and white stay exact.
        return image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    return image


def _opened(path: Path, field: str) -> Image.Image:
    try:
        with Image.open(path) as file:
            return ImageOps.exif_transpose(file)
    except UnidentifiedImageError as error:
        raise InvalidEdit(f"`{field}`: {str(path)!r} is not a picture that Pillow can read", field=field) from error
    except OSError as error:
        reason = error.strerror or "the file is damaged"
        raise InvalidEdit(f"`{field}`: {str(path)!r} cannot be read: {reason}", field=field) from error


def _from_array(array: Any, field: str) -> Image.Image:
    shape = getattr(array, "shape", None)
    if shape is None or not hasattr(array, "__array_interface__"):
        raise InvalidEdit(
            f"`{field}` is {type(array).__name__}: pass a Pillow image, a numpy array or a path", field=field
        )
    if len(shape) not in {2, 3} or (len(shape) == 3 and shape[2] not in {3, 4}):
        raise InvalidEdit(
            f"`{field}` is an array of shape {tuple(shape)}: use (height, width), (height, width, 3) or (height, "
            f"width, 4)",
            field=field,
        )
    kind = array.dtype.kind
    if kind == "b":
        array = array.astype("uint8") * 255
    elif kind == "f":
        if not (array.size and array.min() >= 0.0 and array.max() <= 1.0):
            raise InvalidEdit(f"`{field}` is an array of floats that are not all in 0..1: scale it", field=field)
        array = (array * 255).round().astype("uint8")
    elif array.dtype.itemsize > 1:
        raise InvalidEdit(
            f"`{field}` is an array of {array.dtype}: use uint8 (0..255), floats (0..1) or bool", field=field
        )
    return Image.fromarray(array.astype("uint8"))


__all__ = ["Picture", "as_image", "as_picture", "eight_bits"]
