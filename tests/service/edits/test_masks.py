"""Masks of a submission over real HTTP: as pictures and as data, paired with regions."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from jobs.connection import connect
from jobs.records.store import Records
from jobs.settings import Settings
from jobs.storage import ObjectStore
from tests.service.conftest import SIZE, Form, assert_problem, encode, mask
from tests.service.edits.kept import assert_nothing_kept, kept_masks, stored_mask


def test_a_mask_may_be_data_in_place_of_a_picture(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.files = form.files[:1]
    form.data["mask_shapes"] = json.dumps([{"box": [10, 12, 20, 8], "grow": 2}])
    response = form.send(client)
    assert response.status_code == 202, response.text
    (kept,) = kept_masks(settings, response.json()["id"])
    assert (kept.mode, kept.size, kept.getbbox(), kept.getextrema()) == ("L", SIZE, (8, 10, 32, 22), (0, 255))


def test_shapes_may_modify_uploaded_masks_or_add_to_them(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.data["mask_shapes"] = json.dumps([{"polygon": [[[0, 0], [9, 0], [0, 9]]]}, {"upload": 0, "shrink": 1}])
    response = form.send(client)
    assert response.status_code == 202, response.text
    first, second = kept_masks(settings, response.json()["id"])
    assert first.getbbox() == (0, 0, 8, 8)  # no centre lies inside beyond
    assert second.getbbox() == (11, 11, 29, 29)


def test_soft_masks_are_kept_with_their_greys(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.data["mask_softness"] = "strength"
    form.data["mask_shapes"] = json.dumps([{"upload": 0, "feather": 4}])
    response = form.send(client)
    assert response.status_code == 202, response.text
    (kept,) = kept_masks(settings, response.json()["id"])
    assert len(kept.getcolors() or ()) > 4


@pytest.mark.parametrize(
    ("shapes", "code", "field"),
    [
        ([{"polygon": [[[0, 0], [9, 9], [9, 0], [0, 9]]]}], "polygon_invalid", "mask_shapes.0.polygon.0"),
        ([{"polygon": [[]]}], "polygon_invalid", "mask_shapes.0.polygon.0"),
        ([{"polygon": []}], "polygon_invalid", "mask_shapes.0.polygon"),
        ([], "invalid_request", "mask_shapes"),
        ([{"rle": {"counts": [-1], "size": [48, 64]}}], "invalid_request", "mask_shapes.0.rle.counts.numbers.0"),
        ([{"box": [64, 0, 5, 5]}], "box_invalid", "mask_shapes.0.box"),
        ([{"box": [1, 1, 0, 5]}], "invalid_request", "mask_shapes.0.box.2"),
        ([{"rle": {"counts": [3072], "size": [64, 48]}}], "rle_invalid", "mask_shapes.0.rle.size"),
        ([{"rle": {"counts": "~", "size": [48, 64]}}], "rle_invalid", "mask_shapes.0.rle.counts"),
        ([{"rle": {"counts": [3072], "size": [48, 64]}}], "mask_empty", "mask_shapes.0"),
        ([{"box": [2, 2, 3, 3], "shrink": 5}], "mask_empty", "mask_shapes.0.shrink"),
        ([{"box": [2, 2, 3, 3], "feather": 5}], "not_together", "mask_shapes.0.feather"),
        ([{"upload": 0}], "invalid_request", "mask_shapes.0.upload"),
        ([{}], "invalid_request", "mask_shapes.0"),
        ([{"box": [1, 1, 5, 5], "grown": 1}], "invalid_request", "mask_shapes.0.grown"),
        (None, "invalid_request", "mask"),
    ],
)
def test_a_wrong_shape_is_refused_at_its_field(
    client: httpx.Client, form: Form, settings: Settings, shapes: Any, code: str, field: str
) -> None:
    form.files = form.files[:1]
    if shapes is not None:
        form.data["mask_shapes"] = json.dumps(shapes)
    assert_problem(form.send(client), 422, code, field)
    assert_nothing_kept(settings)


def test_a_mask_that_no_shape_uses_is_refused(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.data["mask_shapes"] = json.dumps([{"box": [1, 1, 5, 5]}])
    assert_problem(form.send(client), 422, "invalid_request", "mask")
    assert_nothing_kept(settings)


@pytest.mark.parametrize("mode", ["white", "black"])
def test_a_mask_of_zeros_and_ones_counts_as_black_and_white(
    mode: str, client: httpx.Client, form: Form, settings: Settings
) -> None:
    inside, outside = (1, 0) if mode == "white" else (0, 1)
    drawn = Image.new("L", SIZE, outside)
    drawn.paste(inside, (10, 10, 30, 30))
    form.files[1] = ("mask", encode(drawn))
    form.data["mask_mode"] = mode
    assert stored_mask(form.send(client).json(), settings).getbbox() == (10, 10, 30, 30)


def test_a_red_mask_does_not_lead_to_an_edit_of_everything(
    client: httpx.Client, form: Form, settings: Settings
) -> None:
    drawn = Image.new("RGB", SIZE)
    drawn.paste("red", (10, 10, 30, 30))
    form.files[1] = ("mask", encode(drawn))
    for mode in ("white", "black"):
        form.data["mask_mode"] = mode
        problem = assert_problem(form.send(client), 422, "mask_empty", "mask")
        assert "luminance is 0 to 76 (of 255)" in problem["detail"]
    assert_nothing_kept(settings)


def test_the_error_for_a_mask_on_a_rotated_photo_names_the_rotation(client: httpx.Client, form: Form) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    form.files[0] = ("image", encode(Image.new("RGB", SIZE), "JPEG", exif=exif))
    problem = assert_problem(form.send(client), 422, "mask_size_mismatch", "mask")
    assert "EXIF" in problem["detail"]


def test_several_regions_pair_with_their_masks(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.files.append(("mask", mask(box=(40, 10, 60, 40))))
    form.data["regions"] = json.dumps([{"words": ["purple"]}, {"words": ["room"], "weight": 0.5}])
    response = form.send(client)
    assert response.status_code == 202, response.text
    regions = response.json()["request"]["regions"]
    assert [(region["words"], region["weight"]) for region in regions] == [(["purple"], 1.0), (["room"], 0.5)]
    with connect(settings) as redis:
        assert len(Records(redis, settings).require(response.json()["id"], "local").masks) == 2


def test_black_and_transparent_masks_are_stored_as_white_ones(
    client: httpx.Client, form: Form, settings: Settings
) -> None:
    store = ObjectStore.from_settings(settings)
    black = Image.new("L", SIZE, 255)
    black.paste(0, (10, 10, 30, 30))
    transparent = Image.new("RGBA", SIZE, "white")
    transparent.paste((0, 0, 0, 0), (10, 10, 30, 30))
    for mode, image in (("black", black), ("alpha", transparent)):
        form.files[1] = ("mask", encode(image))
        form.data["mask_mode"] = mode
        edit = form.send(client).json()
        with connect(settings) as redis:
            record = Records(redis, settings).require(edit["id"], "local")
        assert Image.open(io.BytesIO(store.get(record.masks[0]))).getbbox() == (10, 10, 30, 30)


def test_the_error_for_a_mask_of_another_size_names_both_sizes(client: httpx.Client, form: Form) -> None:
    form.files[1] = ("mask", mask((40, 30), (1, 1, 9, 9)))
    detail = form.send(client).json()["detail"]
    assert "40x30" in detail
    assert "64x48" in detail


def test_the_second_of_two_masks_is_named(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.files.append(("mask", mask(box=None)))
    form.data["regions"] = json.dumps([{"words": ["purple"]}, {"words": ["room"]}])
    assert_problem(form.send(client), 422, "mask_empty", "mask.1")
    assert_nothing_kept(settings)


def test_two_masks_and_two_changes_require_an_assignment(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.files.append(("mask", mask()))
    form.data |= {"source_prompt": "a room with a carpet", "target_prompt": "a purple room with a green carpet"}
    detail = assert_problem(form.send(client), 422, "region_mismatch", "regions")["detail"]
    assert 'regions=[{"words": ["purple room"]}, {"words": ["green carpet"]}]' in detail
    form.data["words"] = "purple room"
    assert_problem(form.send(client), 422, "region_mismatch", "regions")
    assert_nothing_kept(settings)


def test_changes_must_be_assigned_to_two_masks(client: httpx.Client, form: Form) -> None:
    form.files.append(("mask", mask()))
    regions = form.send(client).json()["request"]["regions"]
    assert [region["words"] for region in regions] == [["purple carpet"]] * 2
