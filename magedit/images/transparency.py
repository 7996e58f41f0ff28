"""Transparent pictures: flattened on white for the model, returned with their alpha.

An edit changes colours, never the alpha. Free of torch.
"""

from __future__ import annotations

from PIL import Image, ImageChops, ImageMath

BACKGROUND = (255, 255, 255)
"""Background of transparent pixels while a picture is edited, and in formats without alpha (sRGB)."""


def flatten(image: Image.Image) -> Image.Image:
    """``image`` as RGB, composited on `BACKGROUND`."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, BACKGROUND)
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def restore(edited: Image.Image, original: Image.Image) -> Image.Image:
    """``edited``, made from the flattened ``original``, with the original's alpha; as it is if that had none.

    A pixel that the edit left alone keeps its RGBA bit for bit. A translucent one that it changed gets the colour that
    gives the edited one on `BACKGROUND`, as near as 0..255 allows; of a fully transparent one nothing can show.
    """
    if not original.has_transparency_data:
        return edited
    result = original.convert("RGBA")
    changed = ImageChops.difference(edited, flatten(original))
    box = changed.getbbox()
    if box is None:
        return result
    part, before = edited.crop(box), result.crop(box)
    alpha = before.getchannel("A")
    part = Image.merge("RGB", [_uncover(band, alpha) for band in part.split()])
    part.putalpha(alpha)
    any_band = changed.crop(box).split()
    mask = ImageChops.lighter(ImageChops.lighter(any_band[0], any_band[1]), any_band[2]).point(lambda v: 255 * (v > 0))
    # A fully transparent pixel is invisible: it stays as it was.
    mask = ImageChops.multiply(mask, alpha.point(lambda v: 255 * (v > 0)))
    before.paste(part, mask=mask)
    result.paste(before, box[:2])
    return result


def _uncover(band: Image.Image, alpha: Image.Image) -> Image.Image:
    """The colour c with band = a c + (1 - a) white, for one channel (L) and alpha (L)."""
    white = float(BACKGROUND[0])
    solved = ImageMath.lambda_eval(
        lambda of: of["convert"](white - (white - of["band"]) * 255.0 / of["max"](of["alpha"], 1.0) + 0.5, "L"),
        band=band.convert("F"),
        alpha=alpha.convert("F"),
    )
    assert isinstance(solved, Image.Image)
    return solved
