"""Photographs as people have them, through the whole service: the same size and colours come out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageOps

from cli.processes.stack import Stack
from magedit.client import Client, Edit
from magedit.images.masks import outside_difference
from tests.e2e.conftest import PROMPTS
from tests.service.images.profiles import DISPLAY_P3, rgb_profile, srgb_curve

TWO_STEPS: dict[str, Any] = {"steps": 2, "max_iterations": 1}


@pytest.fixture
def service(s3_stack: Stack) -> Iterator[Client]:
    with Client(s3_stack.url) as client:
        yield client


def photo(size: tuple[int, int]) -> Image.Image:
    """Different everywhere, smooth enough to be encoded fast."""
    return Image.merge("RGB", [Image.effect_noise((64, 48), 60 + 20 * i).resize(size) for i in range(3)])


def encoded(image: Image.Image, encoding: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, encoding, **options)
    return target.getvalue()


def edited(service: Client, image: bytes, mask: Image.Image, **fields: Any) -> tuple[Edit, Image.Image]:
    """The finished edit and its result."""
    submitted = service.submit(image, [encoded(mask, "PNG")], words=["yellow"], **PROMPTS, **(TWO_STEPS | fields))
    edit = service.wait(submitted.id)
    assert edit.state == "succeeded", edit.problem
    result = Image.open(io.BytesIO(service.result(edit.id)))
    result.load()
    return edit, result


def test_a_large_phone_photo_in_display_p3_that_lies_on_its_side(service: Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = rgb_profile(DISPLAY_P3, srgb_curve())
    data = encoded(photo((4032, 3024)), "JPEG", exif=exif, icc_profile=profile, progressive=True)
    mask = Image.new("L", (3024, 4032))
    ImageDraw.Draw(mask).ellipse((300, 2000, 900, 2500), fill=255)

    edit, result = edited(service, data, mask)

    assert (result.mode, result.size) == ("RGB", (3024, 4032))
    assert edit.measures is not None
    left, top, right, bottom = edit.measures.crop
    assert right - left == bottom - top == 1202
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    source = ImageCms.profileToProfile(
        upright, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    assert source is not None
    assert outside_difference(source, result, mask, edit.measures.paste_margin_px) == 0
    assert ImageChops.difference(source, result).getbbox() is not None


@pytest.mark.parametrize(
    ("size", "line"),
    [((301, 1999), (150, 20, 150, 1900)), ((17, 900), (8, 450, 8, 450)), ((1200, 900), (3, 3, 1190, 890))],
    ids=["one pixel wide", "one pixel", "diagonal hairline"],
)
def test_thin_masks_on_odd_pictures(service: Client, size: tuple[int, int], line: tuple[int, int, int, int]) -> None:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).line(line, fill=255)
    image = photo(size)
    edit, result = edited(service, encoded(image, "PNG"), mask, artifacts=["attention"])
    assert edit.measures is not None
    assert result.size == size
    assert outside_difference(image, result, mask, edit.measures.paste_margin_px) == 0
    assert 0 < edit.measures.after[0].spatial < 1


@pytest.mark.parametrize(("output_format", "mode"), [("png", "RGBA"), ("webp", "RGBA"), ("jpeg", "RGB")])
def test_transparency_is_kept_if_the_format_supports_it(service: Client, output_format: str, mode: str) -> None:
    image = photo((200, 150))
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).rectangle((60, 90, 120, 140), fill=255)
    _, result = edited(service, encoded(image, "PNG"), mask, output_format=output_format)
    assert result.mode == mode
    if mode == "RGBA":
        assert result.getchannel("A").tobytes() == image.getchannel("A").tobytes()
        assert result.crop((0, 0, 200, 80)).tobytes() == image.crop((0, 0, 200, 80)).tobytes()
