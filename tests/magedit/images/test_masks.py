"""Masks in pixels."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw, ImageStat

from magedit.config import MaskMode
from magedit.errors import EmptyMask, MaskMismatch
from magedit.images.masks import (
    PSNR_MAX,
    STRIP_ROWS,
    check_mask,
    crop_to,
    dilate,
    feather,
    inside_difference,
    outline,
    outside_difference,
    outside_sha256,
    paste_back,
    paste_margin_px,
    psnr_inside,
    read_mask,
    union,
    working_crop,
)


def rectangle(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=255)
    return mask


def area(mask: Image.Image) -> int:
    return mask.histogram()[255]


@pytest.mark.parametrize(("mode", "selected"), [("white", 6), ("black", 58)])
def test_white_or_black_pixels_are_edited(mode: MaskMode, selected: int) -> None:
    mask = read_mask(rectangle((8, 8), (1, 1, 4, 3)).convert("RGB"), mode)
    assert mask.mode == "L"
    assert set(mask.get_flattened_data()) <= {0, 255}
    assert area(mask) == selected


def test_transparent_pixels_are_edited_in_alpha_mode() -> None:
    picture = Image.new("RGBA", (8, 8), (10, 20, 30, 255))
    picture.paste((10, 20, 30, 0), (0, 0, 4, 2))
    assert area(read_mask(picture, "alpha")) == 8


@pytest.mark.parametrize(("mode", "hidden", "stroke"), [("white", 255, 255), ("black", 0, 0)])
def test_a_transparent_pixel_is_not_selected_by_its_hidden_colour(mode: MaskMode, hidden: int, stroke: int) -> None:
    picture = Image.new("RGBA", (8, 8), (hidden, hidden, hidden, 0))
    picture.paste((stroke, stroke, stroke, 255), (0, 0, 4, 2))
    assert area(read_mask(picture, mode)) == 8


def test_alpha_mode_needs_an_alpha_channel() -> None:
    with pytest.raises(EmptyMask, match="no alpha channel"):
        read_mask(Image.new("RGB", (8, 8)), "alpha")


def test_sixteen_bit_masks_are_read_over_their_whole_range() -> None:
    deep = Image.new("I;16", (4, 4))
    deep.paste(65535, (0, 0, 2, 2))
    assert area(read_mask(deep, "white")) == 4


def test_a_mask_of_another_size_names_both_sizes() -> None:
    with pytest.raises(MaskMismatch, match="mask is 4x3, image is 8x6"):
        check_mask(rectangle((4, 3), (0, 0, 2, 2)), (8, 6))


UPLOADS = Path(__file__).parents[2] / "data" / "uploads"


def test_a_mask_of_zeros_and_ones_is_taken_as_black_and_white() -> None:
    with Image.open(UPLOADS / "mask-0-1.png") as mask:
        assert mask.getextrema() == (0, 1)
        expected = mask.point(lambda v: 255 * v)
        assert read_mask(mask, "white").tobytes() == expected.tobytes()
        assert read_mask(mask, "black").tobytes() == ImageChops.invert(expected).tobytes()
        deep, colour = mask.convert("I").convert("I;16"), mask.convert("RGB")
        assert read_mask(deep, "white").tobytes() == read_mask(colour, "white").tobytes() == expected.tobytes()
        alpha = Image.merge("RGBA", (*colour.split(), mask))
        assert read_mask(alpha, "alpha").tobytes() == ImageChops.invert(expected).tobytes()


@pytest.mark.parametrize("mode", ["white", "black"])
def test_a_red_mask_is_rejected_in_either_mode_with_its_range(mode: MaskMode) -> None:
    with Image.open(UPLOADS / "mask-red-on-black.png") as mask, pytest.raises(EmptyMask) as caught:
        read_mask(mask, mode)
    # The luminance of pure red (ITU-R BT.601): 0.299 of 255.
    assert "luminance is 0 to 76 (of 255)" in caught.value.message
    assert "Paint white" in caught.value.message
    assert "mask_mode" not in caught.value.message


def shades(low: int, high: int) -> Image.Image:
    mask = Image.new("L", (8, 8), low)
    mask.paste(high, (1, 1, 4, 3))
    return mask


def hole(mask: Image.Image) -> Image.Image:
    """The mask with a transparent corner."""
    clear = mask.convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 2, 2))
    return clear


@pytest.mark.parametrize(
    ("mask", "mode", "told"),
    [
        (shades(0, 0), "white", "selects no pixel: its luminance is 0 to 0 (of 255), and 128 or more"),
        (shades(0, 127), "white", "selects no pixel: its luminance is 0 to 127"),
        (shades(255, 255), "black", "use mask_mode 'white' if the white part is what to edit"),
        (shades(255, 150), "black", "selects no pixel: its luminance is 150 to 255 (of 255), and less than 128"),
        (hole(shades(0, 0)), "white", "use mask_mode 'alpha' if it is the transparent part"),
        (shades(0, 9), "black", "selects every pixel though it has several shades: its luminance is 0 to 9"),
        (shades(255, 150), "white", "Paint black what to keep"),
        (shades(0, 0).convert("RGBA"), "alpha", "selects no pixel: its alpha is 255 to 255"),
    ],
)
def test_the_error_for_an_empty_selection_names_the_shades(mask: Image.Image, mode: MaskMode, told: str) -> None:
    with pytest.raises(EmptyMask) as caught:
        read_mask(mask, mode)
    assert told in caught.value.message


@pytest.mark.parametrize(("value", "mode"), [(255, "white"), (0, "black"), (200, "white"), (247, "white")])
def test_a_mask_of_one_shade_may_select_everything(value: int, mode: MaskMode) -> None:
    assert area(read_mask(shades(value, value), mode)) == 64
    # A JPEG does not keep one shade exactly.
    assert area(read_mask(shades(value, min(255, value + 8)), mode)) == 64


def test_union_is_the_maximum() -> None:
    a, b = rectangle((8, 8), (0, 0, 4, 4)), rectangle((8, 8), (2, 2, 6, 6))
    assert area(union([a, b])) == 16 + 16 - 4


def test_small_images_are_taken_whole_and_padded_to_a_square() -> None:
    assert working_crop(rectangle((100, 60), (5, 5, 9, 9)), 128, 0.5) == (0, -20, 100, 80)


@st.composite
def masked_sizes(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    width, height = draw(st.integers(1, 900)), draw(st.integers(1, 900))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (width, height), (x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height)))


@given(masked_sizes(), st.floats(0, 2))
@settings(deadline=None)
def test_the_working_crop_is_square_and_holds_the_mask(
    sizes: tuple[tuple[int, int], tuple[int, int, int, int]], context: float
) -> None:
    size, bbox = sizes
    left, top, right, bottom = working_crop(rectangle(size, bbox), 128, context)
    assert right - left == bottom - top
    assert left <= bbox[0]
    assert top <= bbox[1]
    assert right >= bbox[2]
    assert bottom >= bbox[3]
    # Inside the image wherever it fits.
    if right - left <= size[0]:
        assert left >= 0
        assert right <= size[0]
    if bottom - top <= size[1]:
        assert top >= 0
        assert bottom <= size[1]


def test_a_thin_mask_survives_the_reduction_to_the_working_size() -> None:
    mask = rectangle((2000, 2000), (1000, 100, 1001, 1900))
    crop = crop_to(mask, working_crop(mask, 128, 0.1), 128)
    assert crop.size == (128, 128)
    assert area(crop) >= 100


@pytest.mark.parametrize("size", [(8192, 3000), (4032, 3024), (301, 1999), (17, 900)])
def test_two_far_single_pixels_survive_the_reduction(size: tuple[int, int]) -> None:
    mask = Image.new("L", size)
    mask.putpixel((1, 1), 255)
    mask.putpixel((size[0] - 2, size[1] - 3), 255)
    assert area(crop_to(mask, working_crop(mask, 128, 0.5), 128)) in {2, 3, 4, 5, 6, 7, 8}


def test_a_diagonal_hairline_stays_in_one_piece() -> None:
    mask = Image.new("L", (4000, 4000))
    ImageDraw.Draw(mask).line((10, 10, 3990, 3990), fill=255)
    crop = crop_to(mask, (0, 0, 4000, 4000), 128)
    assert all(crop.getpixel((i, i)) == 255 for i in range(128))
    assert area(crop) < 4 * 128


def test_one_pixel_is_a_mask_at_the_pictures_own_resolution() -> None:
    mask = Image.new("L", (4032, 3024))
    mask.putpixel((4031, 0), 255)
    box = working_crop(mask, 128, 0.5)
    assert box == (4032 - 128, 0, 4032, 128)
    assert crop_to(mask, box, 128).getbbox() == (127, 0, 128, 1)


def test_a_crop_beyond_the_image_repeats_its_edge() -> None:
    picture = Image.new("RGB", (20, 10), (200, 100, 50))
    crop = crop_to(picture, (0, -5, 20, 15), 20)
    assert ImageStat.Stat(crop).extrema == [(200, 200), (100, 100), (50, 50)]


def test_dilation_grows_by_its_radius_on_every_side() -> None:
    assert dilate(rectangle((20, 20), (8, 8, 10, 10)), 3).getbbox() == (5, 5, 13, 13)


@pytest.mark.parametrize("radius", [1, 63, 100, 101, 260])
def test_dilation_is_the_maximum_over_a_square(radius: int) -> None:
    mask = Image.new("L", (900, 700))
    mask.putpixel((300, 290), 255)
    mask.putpixel((890, 5), 255)
    wanted = Image.new("L", mask.size)
    for x, y in ((300, 290), (890, 5)):
        wanted.paste(255, (x - radius, y - radius, x + radius + 1, y + radius + 1))
    assert dilate(mask, radius).tobytes() == wanted.tobytes()


def test_dilation_at_the_border_is_cut_by_it() -> None:
    assert dilate(rectangle((20, 20), (0, 17, 3, 20)), 4).getbbox() == (0, 13, 7, 20)


def test_the_paste_margin_px_is_a_share_of_the_crop_and_at_least_one_pixel() -> None:
    assert paste_margin_px((0, 0, 512, 512), 1 / 64) == 8
    assert paste_margin_px((-8, 0, 24, 32), 0.0) == 1


def test_the_feather_is_whole_inside_and_nothing_outside() -> None:
    mask = rectangle((60, 60), (20, 20, 40, 40))
    soft = feather(mask, 8)
    assert ImageChops.subtract(mask, soft).getbbox() is None
    assert ImageChops.subtract(soft, dilate(mask, 8)).getbbox() is None
    levels = set(soft.get_flattened_data())
    assert len(levels) > 3


@pytest.mark.parametrize("size", [(64, 64), (300, 180), (90, 700)])
def test_pasting_back_keeps_every_pixel_outside_the_dilated_mask(size: tuple[int, int]) -> None:
    before = Image.effect_noise(size, 80).convert("RGB")
    mask = rectangle(size, (size[0] // 3, size[1] // 3, size[0] // 2, size[1] // 2))
    box = working_crop(mask, 64, 0.5)
    radius = paste_margin_px(box, 1 / 16)
    edited = ImageChops.invert(crop_to(before, box, 64))
    after = paste_back(before, edited, mask, box, radius)
    assert after.size == size
    assert outside_difference(before, after, mask, radius) == 0
    inside = Image.composite(ImageChops.difference(before, after), Image.new("RGB", size), mask)
    assert inside.getbbox() is not None


def test_outside_difference_sees_a_single_changed_pixel() -> None:
    before = Image.new("RGB", (40, 40), (9, 9, 9))
    after = before.copy()
    after.putpixel((0, 0), (9, 12, 9))
    assert outside_difference(before, after, rectangle((40, 40), (20, 20, 30, 30)), 2) == 3


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_hash_of_the_outside_is_that_of_the_picture_with_the_inside_at_zero(mode: str) -> None:
    picture = Image.effect_noise((30, 2 * STRIP_ROWS + 7), 80).convert(mode)
    mask = rectangle(picture.size, (10, STRIP_ROWS - 5, 20, STRIP_ROWS + 5))
    bare = picture.copy()
    bare.paste((0,) * len(mode), (8, STRIP_ROWS - 7, 22, STRIP_ROWS + 7))
    assert outside_sha256(picture, mask, 2) == hashlib.sha256(bare.tobytes()).hexdigest()


def test_the_outside_hash_depends_only_on_outside_pixels() -> None:
    before = Image.effect_noise((40, 40), 80).convert("RGB")
    mask = rectangle((40, 40), (20, 20, 30, 30))
    inside, outside = before.copy(), before.copy()
    inside.paste((1, 2, 3), (18, 18, 32, 32))
    outside.putpixel((17, 18), (1, 2, 3))
    assert outside_sha256(inside, mask, 2) == outside_sha256(before, mask, 2)
    assert outside_sha256(outside, mask, 2) != outside_sha256(before, mask, 2)


def test_the_outline_does_not_cover_the_inside() -> None:
    picture = Image.new("RGB", (40, 40), (9, 9, 9))
    mask = rectangle((40, 40), (10, 10, 30, 30))
    drawn = outline(picture, mask)
    assert ImageChops.difference(picture, drawn).getbbox() == (8, 8, 32, 32)
    assert drawn.getpixel((20, 20)) == (9, 9, 9)


def test_differences_inside_the_mask_count_only_its_pixels() -> None:
    before, mask = Image.new("RGB", (8, 8), (100, 100, 100)), Image.new("L", (8, 8))
    mask.paste(255, (0, 0, 4, 8))
    after = before.copy()
    after.paste((110, 100, 100), (0, 0, 2, 8))
    after.paste((255, 0, 0), (6, 0, 8, 8))
    assert inside_difference(before, after, mask) == pytest.approx(10 / 6)
    assert psnr_inside(before, after, mask) == pytest.approx(10 * math.log10(255**2 / (100 / 6)))
    assert psnr_inside(before, before, mask) == PSNR_MAX
