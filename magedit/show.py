"""Pictures for people: attention as a heat map over its crop, and panels side by side. Pillow only; free of torch."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from magedit.masks import Box

PALETTE = ("#0d0887", "#cc4778", "#f0f921")
"""Low, middle and high attention: three stops of the *plasma* colour map, ordered in lightness."""

HEAT_OPACITY = 0.7
"""Weight of the heat map over the grey picture, 0..1."""

PANEL_SIDE = 384
"""Smallest height of a panel in pixels; smaller pictures are enlarged by whole factors, so that pixels stay pixels."""

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
        box: the working crop that the map covers, as `magedit.masks.working_crop` gave it.
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
    height = max(PANEL_SIDE, max(picture.height for _, picture in pictures))
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


def _to_height(picture: Image.Image, height: int) -> Image.Image:
    if picture.height == height:
        return picture
    factor = height / picture.height
    how = Image.Resampling.NEAREST if factor.is_integer() else Image.Resampling.LANCZOS
    return picture.resize((max(1, round(picture.width * factor)), height), how)
