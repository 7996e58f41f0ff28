"""Masks in pixels: reading, checking, dilation, the working crop and paste-back. Pillow only; free of torch.

A mask is a Pillow image of mode ``L`` whose pixels are 0 (keep) or 255 (edit), of the image's size.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageFilter, ImageStat

from magedit.config import MaskMode
from magedit.errors import EmptyMask, MaskMismatch

Box = tuple[int, int, int, int]

MASK_THRESHOLD = 128
"""Grey value (0..255) from which a pixel of a grey mask counts as selected."""

SHADE = 8
"""Smallest difference (0..255) between two shades of a mask; a single-colour JPEG has up to 3."""

BLUR_RADIUS_MAX = 100
"""Radius in pixels up to which one selected pixel survives an 8-bit mean along a line: 255 / 201 is above 1."""

PSNR_MAX = 100.0
"""PSNR in dB of two pictures that are the same."""

STRIP_ROWS = 256
"""Rows of a picture that are hashed at a time."""

OUTLINE_COLOUR = (255, 0, 110)
"""sRGB colour of mask outlines in pictures for people."""


def read_mask(image: Image.Image, mode: MaskMode) -> Image.Image:
    """A mask (L, 0/255) from any picture: ``white`` or ``black`` pixels, or transparent ones (``alpha``), are edited.

    A mask with the values 0 and 1 only, as some programs write it, counts as black and white. With ``white`` and
    ``black`` transparent pixels are never selected.

    Raises:
        EmptyMask: ``alpha`` is asked for and the picture has no transparency; no pixel is selected; or every pixel is,
            though the picture has two shades. Names the range found and the cure.
    """
    if mode == "alpha":
        if not image.has_transparency_data:
            raise EmptyMask("mask_mode is 'alpha', but the mask has no alpha channel: send one, or use 'white'")
        level = _level(image.convert("RGBA").getchannel("A"))
    else:
        level = _level(_luminance(image))
    selected = level.point(lambda v: 255 if (v >= MASK_THRESHOLD) == (mode == "white") else 0)
    if mode != "alpha" and image.has_transparency_data:
        shown = image.convert("RGBA").getchannel("A").point(lambda v: 255 if v >= MASK_THRESHOLD else 0)
        selected = ImageChops.multiply(selected, shown)
    _require_choice(selected, level, mode, transparent=image.has_transparency_data)
    return selected


def read_strength(image: Image.Image, mode: MaskMode) -> Image.Image:
    """A soft mask (L) from any picture: 255 may change entirely, 0 not at all; modes as `read_mask` has them.

    Raises:
        EmptyMask: as `read_mask`.
    """
    if mode == "alpha":
        read_mask(image, mode)
        return ImageChops.invert(_level(image.convert("RGBA").getchannel("A")))
    level = _level(_luminance(image))
    strength = level if mode == "white" else ImageChops.invert(level)
    if image.has_transparency_data:
        strength = ImageChops.multiply(strength, image.convert("RGBA").getchannel("A"))
    _require_choice(strength, level, mode, transparent=image.has_transparency_data)
    return strength


def selected_by(strength: Image.Image) -> Image.Image:
    """The mask (L, 0/255) of every pixel that a soft mask lets change."""
    return strength.point(_selected)


def _luminance(image: Image.Image) -> Image.Image:
    """The luminance of the picture's own colours (L), 16 bits scaled to 8; transparency is ignored."""
    if image.mode in {"I;16", "I;16B", "I", "F"}:
        high = max(255.0, float(image.getextrema()[1] or 0))  # type: ignore[arg-type]
        return image.convert("F").point(lambda v: v * (255.0 / high)).convert("L")
    return image.convert("LA").getchannel("L") if image.has_transparency_data else image.convert("L")


def _level(channel: Image.Image) -> Image.Image:
    """The channel; the values 0 and 1, if it has no others, become 0 and 255."""
    return channel.point(lambda v: 255 * v) if channel.getextrema()[1] == 1 else channel


def _require_choice(selected: Image.Image, level: Image.Image, mode: MaskMode, *, transparent: bool) -> None:
    """Raises EmptyMask if ``selected`` is empty, or is all of a picture drawn with two shades of ``level``."""
    low, high = (int(value) for value in level.getextrema())  # type: ignore[arg-type]
    seen = f"its alpha is {low} to {high}" if mode == "alpha" else f"its luminance is {low} to {high}"
    counts, paint, keep = _WORDS[mode]
    if selected.getbbox() is None:
        cure = f"{paint} what to edit"
        if mode != "alpha" and transparent:
            cure += ", or use mask_mode 'alpha' if it is the transparent part"
        elif mode == "black":
            cure += ", or use mask_mode 'white' if the white part is what to edit"
        raise EmptyMask(f"the mask selects no pixel: {seen} (of 255), and {counts} counts as selected. {cure}".strip())
    if selected.getextrema()[0] == 255 and high - low > SHADE:
        raise EmptyMask(
            f"the mask selects every pixel though it has several shades: {seen} (of 255), and {counts} counts as "
            f"selected. {keep} what to keep"
        )


# For each mode: the selected pixels, how to draw the edited ones, how to draw the others.
_WORDS: dict[MaskMode, tuple[str, str, str]] = {
    "white": ("128 or more", "Paint white", "Paint black"),
    "black": ("less than 128", "Paint black", "Paint white"),
    "alpha": ("less than 128", "Make transparent", "Make opaque"),
}


def check_mask(mask: Image.Image, size: tuple[int, int]) -> None:
    """Check that a mask has the image's ``size`` (width, height) in pixels.

    Raises:
        MaskMismatch: the sizes differ; names both.
    """
    if mask.size != size:
        raise MaskMismatch(
            f"mask is {mask.width}x{mask.height}, image is {size[0]}x{size[1]}: they must have the same size"
        )


def union(masks: Sequence[Image.Image]) -> Image.Image:
    """Pixelwise maximum of one or more masks of one size."""
    result = masks[0]
    for mask in masks[1:]:
        result = ImageChops.lighter(result, mask)
    return result


def working_crop(mask: Image.Image, size: int, context: float) -> Box:
    """The square (left, top, right, bottom) to work on, in pixels; it may reach beyond the image's short side.

    Images whose longer side is at most ``size`` (the checkpoint's picture size) are taken whole. Else the square holds
    the mask's bounding box with ``context`` times its longer side on each side, is at least ``size`` wide, and lies
    within the image as far as it fits.
    """
    width, height = mask.size
    if max(width, height) <= size:
        side = max(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side
    bbox = mask.getbbox()
    assert bbox is not None  # read_mask has refused empty masks
    longer = max(bbox[2] - bbox[0], bbox[3] - bbox[1])
    side = min(max(size, round(longer * (1 + 2 * context))), max(width, height))
    return (
        *(corner := (_place(bbox[0], bbox[2], side, width), _place(bbox[1], bbox[3], side, height))),
        corner[0] + side,
        corner[1] + side,
    )


def _place(low: int, high: int, side: int, extent: int) -> int:
    """Start of an interval of length ``side`` centred on [low, high), inside [0, extent) where it fits."""
    if side >= extent:
        return (extent - side) // 2
    return min(max((low + high - side) // 2, 0), extent - side)


def crop_to(image: Image.Image, box: Box, size: int) -> Image.Image:
    """The crop ``box`` of an image, resampled to ``size`` x ``size`` pixels; beyond the image its edge is repeated."""
    width, height = image.size
    inner = (max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height))
    crop = image.crop(inner)
    side = box[2] - box[0]
    if crop.size != (side, side):
        crop = _extend(crop, side, inner[0] - box[0], inner[1] - box[1])
    if image.mode == "L":
        # Any selected pixel must survive the reduction: a one-pixel lamp post is a mask too.
        return _resize_mask(crop, size)
    return crop.resize((size, size), Image.Resampling.LANCZOS) if side != size else crop


def _extend(crop: Image.Image, side: int, left: int, top: int) -> Image.Image:
    """Pad ``crop`` to a square of ``side``; pictures by repeating their edge, masks by nothing."""
    square = Image.new(crop.mode, (side, side))
    square.paste(crop, (left, top))
    if crop.mode == "L":
        return square
    w, h = crop.size
    if left:
        square.paste(crop.crop((0, 0, 1, h)).resize((left, h)), (0, top))
    if side - left - w:
        square.paste(crop.crop((w - 1, 0, w, h)).resize((side - left - w, h)), (left + w, top))
    if top:
        square.paste(square.crop((0, top, side, top + 1)).resize((side, top)), (0, 0))
    if side - top - h:
        square.paste(square.crop((0, top + h - 1, side, top + h)).resize((side, side - top - h)), (0, top + h))
    return square


def _resize_mask(mask: Image.Image, size: int) -> Image.Image:
    if mask.width <= size:
        return mask.resize((size, size), Image.Resampling.NEAREST)
    return shrink_mask(mask, (size, size))


def shrink_mask(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The mask (L, 0/255) at a smaller ``size``: no selected pixel is lost."""
    # Axis by axis: the mean over a large square rounds one pixel's 255 to 0, the mean along a line does not.
    for shape in ((size[0], mask.height), size):
        mask = mask.resize(shape, Image.Resampling.BOX).point(_selected)
    return mask


def dilate(mask: Image.Image, radius: int) -> Image.Image:
    """Dilation by a square of ``2 radius + 1`` pixels."""
    bbox = mask.getbbox()
    if bbox is None:
        return mask.copy()
    # Work around the mask alone, as a mean along each axis: its cost does not grow with the radius.
    around = (
        max(bbox[0] - radius, 0),
        max(bbox[1] - radius, 0),
        min(bbox[2] + radius, mask.width),
        min(bbox[3] + radius, mask.height),
    )
    part = mask.crop(around)
    for begin in range(0, radius, BLUR_RADIUS_MAX):
        reach = min(BLUR_RADIUS_MAX, radius - begin)
        for axes in ((reach, 0), (0, reach)):
            part = part.filter(ImageFilter.BoxBlur(axes)).point(_selected)
    result = mask.copy()
    result.paste(part, around[:2])
    return result


def _opacity(strength: int) -> int:
    return min(255, 4 * strength)


def _selected(value: float) -> int:
    return 255 if value > 0 else 0


def paste_margin_px(box: Box, margin: float) -> int:
    """Radius by which paste-back dilates the mask, in input pixels: ``margin`` of the crop's side, at least 1."""
    return max(1, round(margin * (box[2] - box[0])))


def paste_back(
    image: Image.Image,
    edited: Image.Image,
    mask: Image.Image,
    box: Box,
    radius: int,
    strength: Image.Image | None = None,
) -> Image.Image:
    """Paste the edited crop back: the input's size, and every pixel outside the mask dilated by ``radius``
    bit-identical.

    Inside the mask the edit counts whole; between the mask and the dilated mask it fades out. With ``strength`` it
    fades out inside instead, where that is weak, and every pixel of strength 0 is bit-identical.

    Args:
        image: the input, RGB.
        edited: the edited crop, RGB, square, at any size.
        mask: the mask of the whole input.
        box: where the crop was taken, as `working_crop` gave it.
        radius: dilation in input pixels, at least 1 without ``strength``, of no account with it.
        strength: a soft mask (L) of the whole input.
    """
    side = box[2] - box[0]
    if edited.width != side:
        edited = edited.resize((side, side), Image.Resampling.LANCZOS)
    layer = image.copy()
    layer.paste(edited, box[:2])
    alpha = feather(mask, radius) if strength is None else ImageChops.multiply(strength.point(_opacity), mask)
    # Outside the image's own crop nothing was edited.
    keep = Image.new("L", image.size, 0)
    keep.paste(255, (max(box[0], 0), max(box[1], 0), min(box[2], image.width), min(box[3], image.height)))
    return Image.composite(layer, image, ImageChops.multiply(alpha, keep))


def feather(mask: Image.Image, radius: int) -> Image.Image:
    """Opacity of the edit (L): 255 inside the mask, falling to 0 at the border of the mask dilated by ``radius``."""
    soft = dilate(mask, max(1, radius // 2)).filter(ImageFilter.BoxBlur(max(1, radius // 2)))
    inside = ImageChops.multiply(soft, dilate(mask, radius))
    return ImageChops.lighter(inside, mask)


def outside_difference(before: Image.Image, after: Image.Image, mask: Image.Image, radius: int) -> int:
    """Largest absolute difference (0..255) of two RGB pictures outside the mask dilated by ``radius``."""
    difference = ImageChops.difference(before, after)
    difference.paste((0, 0, 0), (0, 0), dilate(mask, radius))
    return max(high for _, high in difference.getextrema())  # type: ignore[misc]


def outside_sha256(picture: Image.Image, mask: Image.Image, radius: int) -> str:
    """SHA-256 in hex of the pixels of an RGB or RGBA picture outside the mask dilated by ``radius``: of its bytes, row
    by row from the top, with every pixel inside at 0."""
    inside, digest = dilate(mask, radius), hashlib.sha256()
    nothing = (0,) * len(picture.getbands())
    # In strips: a large picture is not held a second and a third time.
    for top in range(0, picture.height, STRIP_ROWS):
        strip = (0, top, picture.width, min(top + STRIP_ROWS, picture.height))
        rows = picture.crop(strip)
        rows.paste(nothing, (0, 0), inside.crop(strip))
        digest.update(rows.tobytes())
    return digest.hexdigest()


def psnr_inside(before: Image.Image, after: Image.Image, mask: Image.Image) -> float:
    """PSNR in dB of two RGB pictures inside the mask; `PSNR_MAX` if they are the same there."""
    squares = ImageStat.Stat(ImageChops.difference(before, after), mask)
    mean = sum(squares.sum2) / max(1, sum(squares.count))
    return PSNR_MAX if mean == 0 else min(PSNR_MAX, 10 * math.log10(255**2 / mean))


def inside_difference(before: Image.Image, after: Image.Image, mask: Image.Image) -> float:
    """Mean absolute difference (0..255) of two RGB pictures inside the mask."""
    means = ImageStat.Stat(ImageChops.difference(before, after), mask).mean
    return sum(means) / len(means)


def outline(image: Image.Image, mask: Image.Image, *, width: int = 2) -> Image.Image:
    """The picture with the mask's border drawn ``width`` pixels wide just outside the mask."""
    border = ImageChops.subtract(dilate(mask, width), mask)
    result = image.convert("RGB")
    result.paste(OUTLINE_COLOUR, (0, 0), border)
    return result
