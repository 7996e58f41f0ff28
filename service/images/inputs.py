"""The picture and the masks of an edit, from uploaded bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from PIL import Image

from jobs.settings import Settings
from magedit.config import MaskMode, MaskSoftness
from magedit.errors import InvalidEdit
from magedit.images.masks import check_mask, read_mask, read_strength
from magedit.masks.shapes import MaskShape, require_soft
from service.images.uploads import UploadLimits, read_image, read_mask_image

NO_MASKS: Mapping[int, Image.Image] = MappingProxyType({})


def upload_limits(settings: Settings) -> UploadLimits:
    """Limits of one picture."""
    return UploadLimits(max_bytes=settings.max_upload_bytes, max_pixels=settings.max_pixels, max_side=settings.max_side)


def read_inputs(
    image: bytes | Image.Image,
    masks: Sequence[bytes],
    mode: MaskMode,
    settings: Settings,
    *,
    shapes: Sequence[MaskShape] | None = None,
    found: Mapping[int, Image.Image] = NO_MASKS,
    softness: MaskSoftness = "none",
) -> tuple[Image.Image, list[Image.Image | None]]:
    """The image (RGB or RGBA), and the masks as L with 0 or 255 (edit; soft ones grey), all of its size; None for one
    that is to be found in it.

    ``shapes`` has one per region, of which some name one of ``masks``, and some one of ``found`` (by region); None: the
    masks as they are.

    Raises:
        RequestError, InvalidEdit: see `service.images.uploads`, `magedit.images.masks`, `magedit.masks.shapes`.
    """
    limits = upload_limits(settings)
    picture = read_image(image, field="image", limits=limits) if isinstance(image, bytes) else image
    read = []
    for number, upload in enumerate(masks):
        field = "mask" if len(masks) == 1 else f"mask.{number}"
        read.append(_mask(read_mask_image(upload, field=field, limits=limits), mode, picture.size, field, softness))
    if shapes is None:
        return picture, list(read)
    regions = enumerate(shapes)
    return picture, [_shape(each, number, read, found, picture.size, softness) for number, each in regions]


def _shape(
    shape: MaskShape,
    number: int,
    uploads: Sequence[Image.Image],
    found: Mapping[int, Image.Image],
    size: tuple[int, int],
    softness: MaskSoftness,
) -> Image.Image | None:
    field = f"mask_shapes.{number}"
    require_soft(shape, softness, field)
    if shape.to_find is not None:
        shape.check_to_find(size, field)
        return None
    # A front end starts without numpy and shapely, and most edits come with a picture of their mask.
    from magedit.masks.raster import draw, operate

    if shape.upload is not None:
        return operate(uploads[shape.upload], shape, field)
    if shape.mask_id is not None:
        try:
            check_mask(found[number], size)
        except InvalidEdit as error:
            raise type(error)(f"mask {shape.mask_id}: {error.message}", field=field) from error
        return operate(found[number], shape, field)
    return draw(shape, size, field)


def _mask(
    upload: Image.Image, mode: MaskMode, size: tuple[int, int], field: str, softness: MaskSoftness
) -> Image.Image:
    try:
        mask = read_mask(upload, mode) if softness == "none" else read_strength(upload, mode)
        check_mask(mask, size)
    except InvalidEdit as error:
        # The likely reason: the mask was drawn on the unrotated pixels of the file.
        turned = upload.size != size and upload.size == size[::-1]
        hint = (
            ". The image is rotated upright by its EXIF orientation: draw the mask on the upright image"
            if turned
            else ""
        )
        raise type(error)(error.message + hint, field=field) from error
    return mask
