"""Attention heat maps over a crop, and panels side by side. Pillow only, free of torch."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageOps

from magedit.images.masks import Box, shrink_mask

PALETTE = ("#0d0887", "#cc4778", "#f0f921")
"""Low, middle and high attention: three stops of the *plasma* colour map, ordered in lightness."""

HEAT_OPACITY = 0.7
"""Weight of the heat map over the grey picture, 0..1."""

PANEL_SIDE = 384
"""Smallest height of a panel in pixels; smaller pictures are enlarged by whole factors, so that pixels stay pixels."""

PANEL_MAX = 1024
"""Largest height of a panel in pixels; larger pictures are reduced."""

AMPLIFICATION = 4
"""Factor of `difference`: changes of a few levels are visible, those above 63 saturate."""

GAP = 12
CAPTION_HEIGHT = 30
CAPTION_SIZE = 18


def heat_map(
    share: Sequence[Sequence[float]], picture: Image.Image, box: Box, *, high: float | None = None
) -> Image.Image:
    """Attention over the picture that it belongs to.

    Args:
        share: rows of a square map of values from 0 upwards.
        picture: the whole picture, RGB.
        box: the working crop that the map covers, as `magedit.images.masks.working_crop` gave it.
        high: value of the brightest colour; the map's maximum if not given. Give one to compare maps.
    """
    rows = [list(row) for row in share]
    top = high if high is not None else max(max(row) for row in rows)
    grid = Image.new("L", (len(rows[0]), len(rows)))
    grid.putdata([min(255, round(255 * value / top)) if top > 0 else 0 for row in rows for value in row])
    side = box[2] - box[0]
    heat = ImageOps.colorize(grid.resize((side, side), Image.Resampling.BICUBIC), PALETTE[0], PALETTE[2], PALETTE[1])
    grey = picture.convert("L").convert("RGB")
    layer = grey.copy()
    layer.paste(heat, box[:2])
    return Image.blend(grey, layer, HEAT_OPACITY)


def panels(pictures: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Captioned pictures in one row, on white, all of one height."""
    height = min(PANEL_MAX, max(PANEL_SIDE, max(picture.height for _, picture in pictures)))
    resized = [(caption, _to_height(picture.convert("RGB"), height)) for caption, picture in pictures]
    width = sum(picture.width for _, picture in resized) + GAP * (len(resized) + 1)
    sheet = Image.new("RGB", (width, height + CAPTION_HEIGHT + 2 * GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(CAPTION_SIZE)
    x = GAP
    for caption, picture in resized:
        draw.text((x, GAP // 2), caption, fill="#222222", font=font)
        sheet.paste(picture, (x, CAPTION_HEIGHT + GAP // 2))
        x += picture.width + GAP
    return sheet


def grid(rows: Sequence[tuple[str, Sequence[tuple[str, Image.Image]]]]) -> Image.Image:
    """Rows of captioned pictures below each other, each row with its name above; on white."""
    strips = [(name, panels(pictures)) for name, pictures in rows]
    width = max(strip.width for _, strip in strips)
    sheet = Image.new("RGB", (width, sum(strip.height + CAPTION_HEIGHT for _, strip in strips)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(CAPTION_SIZE)
    y = 0
    for name, strip in strips:
        draw.text((GAP, y + GAP // 2), name, fill="#222222", font=font, stroke_width=0.5)
        sheet.paste(strip, (0, y + CAPTION_HEIGHT))
        y += strip.height + CAPTION_HEIGHT
    return sheet


def difference(before: Image.Image, after: Image.Image) -> Image.Image:
    """The absolute difference of two RGB pictures of one size, channel by channel, times `AMPLIFICATION`."""
    return ImageChops.difference(before, after).point(lambda value: min(255, AMPLIFICATION * value))


def reduced(picture: Image.Image, longest: int) -> Image.Image:
    """The picture with its longer side at most ``longest`` pixels; masks (L) keep every selected pixel's cell."""
    factor = longest / max(picture.size)
    if factor >= 1:
        return picture
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    if picture.mode != "L":
        return picture.resize(size, Image.Resampling.LANCZOS)
    return shrink_mask(picture, size)


def _to_height(picture: Image.Image, height: int) -> Image.Image:
    if picture.height == height:
        return picture
    factor = height / picture.height
    how = Image.Resampling.NEAREST if factor.is_integer() else Image.Resampling.LANCZOS
    return picture.resize((max(1, round(picture.width * factor)), height), how)
