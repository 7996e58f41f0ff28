"""Submitting over real HTTP: what is accepted is kept and in line, what is refused leaves nothing behind."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from pydantic import SecretStr

from jobs.connection import connect
from jobs.models import Models, tokenizer_sha256
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.settings import Settings
from jobs.storage import ObjectStore, job_prefix
from service.images.upload_limiter import UploadLimiter
from tests.conftest import PATIENCE_S, free_port, wait_until
from tests.jobs.desk import open_ids
from tests.service.conftest import SIZE, Announce, Form, assert_problem, encode, mask, model_info, picture, serving


def assert_nothing_kept(settings: Settings) -> None:
    """No record, nothing in line, nothing in storage."""
    with connect(settings) as redis:
        records = Records(redis, settings)
        assert records.list("local").records == ()
        assert open_ids(records) == set()
        assert JobQueue(redis, records).depth("demo") == 0
    assert ObjectStore.from_settings(settings).keys("local/") == []


def test_an_accepted_edit_is_kept_and_in_line(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.data |= {"steps": "10", "equalizer": '{"purple": 2}', "artifacts": ["attention"], "output_format": "webp"}
    response = form.send(client)
    assert response.status_code == 202, response.text
    edit = response.json()
    assert response.headers["location"] == edit["links"]["self"] == f"/v1/edits/{edit['id']}"
    assert int(response.headers["retry-after"]) >= 1
    assert edit["state"] == "queued"
    assert edit["queue_position"] == 0

    with connect(settings) as redis:
        records = Records(redis, settings)
        record = records.require(edit["id"], "local")
        assert JobQueue(redis, records).position(record) == 0
        assert open_ids(records) == {record.id}
    assert record.request.config.steps == 10
    assert record.request.config.equalizer == {"purple": 2.0}
    assert record.request.artifacts == ("attention",)
    assert [region.words for region in record.request.regions] == [("purple carpet",)]
    store = ObjectStore.from_settings(settings)
    assert set(store.keys(job_prefix("local", record.id))) == {record.image, *record.masks}
    stored_mask = Image.open(io.BytesIO(store.get(record.masks[0])))
    assert (stored_mask.mode, stored_mask.size, stored_mask.getbbox()) == ("L", SIZE, (10, 10, 30, 30))


def kept_masks(settings: Settings, edit: str) -> list[Image.Image]:
    store = ObjectStore.from_settings(settings)
    with connect(settings) as redis:
        record = Records(redis, settings).require(edit, "local")
    return [Image.open(io.BytesIO(store.get(key))) for key in record.masks]


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


@pytest.fixture
def finding(client: httpx.Client, announce: Announce) -> httpx.Client:
    """A client of a front end whose model finds things in every way."""
    announce(finds_by=("points", "box", "words"))
    return client


def test_a_mask_may_be_left_for_the_worker_to_find(finding: httpx.Client, form: Form, settings: Settings) -> None:
    shapes = [{"points": [[20, 15, 1]], "grow": 2}, {"upload": 0}, {"words": "left carpet", "invert": True}]
    form.data["mask_shapes"] = json.dumps(shapes)
    response = form.send(finding)
    assert response.status_code == 202, response.text
    told = response.json()["request"]["find"]
    assert [each and (each["points"], each["words"], each["grow"], each["invert"]) for each in told] == [
        ([[20, 15, 1]], None, 2, False),
        None,
        (None, "left carpet", 0, True),
    ]
    (kept,) = kept_masks(settings, response.json()["id"])
    assert kept.getbbox() == (10, 10, 30, 30)


INSTRUCTED = {"instruction": "make the left carpet purple"}


def test_an_instruction_suffices_for_an_edit(finding: httpx.Client, form: Form, settings: Settings) -> None:
    form.files, form.data = form.files[:1], dict(INSTRUCTED)
    response = form.send(finding)
    assert response.status_code == 202, response.text
    request = response.json()["request"]
    assert (request["source_prompt"], request["target_prompt"]) == ("a carpet", "a purple carpet")
    assert [each["words"] for each in request["find"]] == ["left carpet"]
    read = request["instruction"]
    assert (read["text"], read["phrase"], read["read_by"]) == (INSTRUCTED["instruction"], "left carpet", "rules")
    assert kept_masks(settings, response.json()["id"]) == []


def test_with_an_instruction_all_may_be_given_that_follows_from_it(finding: httpx.Client, form: Form) -> None:
    form.data |= INSTRUCTED | {"target_prompt": "a purple room", "words": "room"}
    request = form.send(finding).json()["request"]
    assert (request["source_prompt"], request["target_prompt"]) == ("a room with a green carpet", "a purple room")
    assert (request["find"], request["regions"][0]["words"]) == ([], ["room"])
    form.files = form.files[:1]
    form.data["mask_shapes"] = json.dumps([{"words": "room"}])
    request = form.send(finding).json()["request"]
    assert [each["words"] for each in request["find"]] == ["room"]


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ({"instruction": "make it purple"}, "instruction_not_understood", "instruction"),
        ({"instruction": "add a carpet"}, "invalid_request", "mask"),
        ({"instruction": "make the sofa purple"}, "prompt_not_supported", "source_prompt"),
        (
            {"instruction": "make the carpet green", "source_prompt": "a green carpet with a purple carpet"},
            "several_found",
            "instruction",
        ),
        ({"mask_shapes": '[{"points": [[64, 0, 1]]}]'}, "point_outside_image", "mask_shapes.0.points.0"),
        ({"mask_shapes": '[{"points": [[1, 1, 0]]}]'}, "invalid_request", "mask_shapes.0.points"),
        ({"mask_shapes": '[{"points": [[1, 1, 2]]}]'}, "invalid_request", "mask_shapes.0.points.0.2"),
        ({"mask_shapes": '[{"words": " "}]'}, "invalid_request", "mask_shapes.0.words"),
        ({"mask_shapes": '[{"words": "sofa"}]'}, "prompt_not_supported", "mask_shapes.0.words"),
        ({"mask_id": "picture"}, "invalid_request", "mask_id.0"),
        ({"mask_shapes": '[{"points": [[1, 1, 1], 1]}]'}, "invalid_request", "mask_shapes.0.points.1"),
        ({"mask_shapes": '[{"words": "carpet", "feather": 3}]'}, "not_together", "mask_shapes.0.feather"),
    ],
)
def test_unclear_instructions_and_missing_things_are_rejected_by_field(
    finding: httpx.Client, form: Form, settings: Settings, data: dict[str, str], code: str, field: str
) -> None:
    form.files = form.files[:1]
    form.data = data if "instruction" in data else form.data | data
    assert_problem(form.send(finding), 422, code, field)
    assert_nothing_kept(settings)


def test_a_model_without_finders_requires_masks(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.files = form.files[:1]
    form.data["mask_shapes"] = '[{"words": "carpet"}]'
    assert_problem(form.send(client), 422, "no_finder", "mask_shapes.0.words")
    form.data = dict(INSTRUCTED)
    assert_problem(form.send(client), 422, "no_finder", "instruction")
    assert_nothing_kept(settings)


def test_an_unavailable_language_model_is_a_warning(settings: Settings, announce: Announce, form: Form) -> None:
    announce(finds_by=("words",))
    away = settings.model_copy(update={"instruction_url": "http://127.0.0.1:1/v1"})
    form.files, form.data = form.files[:1], dict(INSTRUCTED)
    with serving(away) as client:
        (warning,) = form.send(client).json()["warnings"]
        assert warning["code"] == "read_by_rules"
        form.data = {"instruction": "mach den Teppich lila"}
        assert_problem(form.send(client), 503, "language_model_unavailable", "instruction")


CLIP = Path(__file__).parents[2] / "data" / "tiny-checkpoint" / "tokenizer" / "tokenizer.json"


@pytest.fixture
def clip(client: httpx.Client, settings: Settings) -> httpx.Client:
    """A client of a front end whose model has CLIP's kind of tokenizer, and knows any word."""
    text = CLIP.read_text()
    info = model_info(vocabulary=None, max_prompt_tokens=77, tokenizer_sha256=tokenizer_sha256(text))
    with connect(settings) as redis:
        Models(redis).announce(info, "worker-1", 60, text)
    return client


@pytest.mark.parametrize(
    ("source", "target", "words", "guided"),
    [
        ("a 🐶 on a sofa", "a 🐱 on a sofa", [], ["🐱"]),
        ("a 🐶 on a sofa", "a 🐱 on a sofa", ["🐱"], ["🐱"]),
        ("🐶", "🐱", [], ["🐱"]),
        ("a dog", "a dog 👩🏽‍🚒", ["👩🏽‍🚒"], ["👩🏽‍🚒"]),
        ("a cafe\u0301", "a pink cafe\u0301", ["café"], ["café"]),
        ("a cafe\u0301", "a pink café", [], ["pink café"]),
        ("a woman’s scarf", "a woman's red scarf", [], ["red scarf"]),
        ("a woman's scarf", "a woman’s red scarf", ["woman's"], ["woman's"]),
    ],
)
def test_emoji_accents_and_apostrophes_are_words(
    source: str, target: str, words: list[str], guided: list[str], clip: httpx.Client, form: Form
) -> None:
    form.data = {"source_prompt": source, "target_prompt": target, "words": words}
    answer = form.send(clip)
    assert answer.status_code == 202, answer.text
    asked = answer.json()["request"]
    assert (asked["source_prompt"], asked["target_prompt"]) == (source, target)
    assert asked["regions"][0]["words"] == guided


def stored_mask(edit: dict[str, Any], settings: Settings) -> Image.Image:
    """The mask of an accepted edit."""
    with connect(settings) as redis:
        record = Records(redis, settings).require(edit["id"], "local")
    return Image.open(io.BytesIO(ObjectStore.from_settings(settings).get(record.masks[0])))


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


REFUSED: dict[str, tuple[dict[str, bytes], dict[str, Any], int, str, str | None]] = {
    "not an image": ({"image": b"hello, this is text"}, {}, 415, "unsupported_image_type", "image"),
    "another format": ({"image": encode(Image.new("RGB", SIZE), "GIF")}, {}, 415, "unsupported_image_type", "image"),
    "truncated image": ({"image": picture()[:-60]}, {}, 422, "image_unreadable", "image"),
    "truncated mask": ({"mask": mask()[:-30]}, {}, 422, "image_unreadable", "mask"),
    "mask is text": ({"mask": b"white"}, {}, 415, "unsupported_image_type", "mask"),
    "mask of another size": ({"mask": mask((40, 30), (1, 1, 9, 9))}, {}, 422, "mask_size_mismatch", "mask"),
    "empty mask": ({"mask": mask(box=None)}, {}, 422, "mask_empty", "mask"),
    "no alpha": ({}, {"mask_mode": "alpha"}, 422, "mask_empty", "mask"),
    "word not there": ({}, {"words": ["zebra"]}, 422, "word_not_in_target_prompt", "words"),
    "prompt too long": (
        {},
        {"target_prompt": "a purple carpet a room a room a room a room a room"},
        422,
        "prompt_too_long",
        "target_prompt",
    ),
    "unknown word": ({}, {"target_prompt": "a room with a zebra"}, 422, "prompt_not_supported", "target_prompt"),
    "no new word": ({}, {"target_prompt": "a room with a green carpet"}, 422, "no_edit_words", "words"),
    "unknown method": ({}, {"method": "magic"}, 422, "invalid_request", "method"),
    "method the model lacks": ({}, {"inversion": "null-text"}, 422, "unknown_method", "inversion"),
    "steps out of bounds": ({}, {"steps": "1000"}, 422, "invalid_request", "steps"),
    "no number": ({}, {"strength": "much"}, 422, "invalid_request", "strength"),
    "not finite": ({}, {"guidance_scale": "nan"}, 422, "invalid_request", "guidance_scale"),
    "broken JSON": ({}, {"equalizer": "{"}, 422, "invalid_request", "equalizer"),
    "equalizer out of bounds": ({}, {"equalizer": '{"purple": 99}'}, 422, "invalid_request", "equalizer.purple"),
    "equalizer word": ({}, {"equalizer": '{"zebra": 2}'}, 422, "word_not_in_target_prompt", "equalizer"),
    "misspelled field": ({}, {"stpes": "10"}, 422, "unknown_field", "stpes"),
    "unknown priority": ({}, {"priority": "high"}, 422, "invalid_request", "priority"),
    "deadline in the past": ({}, {"deadline_s": "0"}, 422, "invalid_request", "deadline_s"),
    "deadline in a month": ({}, {"deadline_s": "2592000"}, 422, "invalid_request", "deadline_s"),
    "unknown artifact": ({}, {"artifacts": ["losses"]}, 422, "invalid_request", "artifacts.0"),
    "unknown format": ({}, {"output_format": "bmp"}, 422, "invalid_request", "output_format"),
    "empty prompt": ({}, {"target_prompt": ""}, 422, "invalid_request", "target_prompt"),
    "regions for one mask": ({}, {"regions": "[{}, {}]"}, 422, "region_mismatch", "regions"),
    "words twice": ({}, {"regions": "[{}]", "words": ["purple"]}, 422, "region_mismatch", "words"),
    "unknown model": ({}, {"model": "sd9"}, 422, "unknown_model", "model"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rejections_name_the_field_and_store_nothing(
    name: str, client: httpx.Client, form: Form, settings: Settings
) -> None:
    files, data, status, code, field = REFUSED[name]
    form.files = [(each, files.get(each, content)) for each, content in form.files]
    form.data |= data
    assert_problem(form.send(client), status, code, field)
    assert_nothing_kept(settings)


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


def test_which_of_two_masks_is_for_which_of_two_changes_is_asked(
    client: httpx.Client, form: Form, settings: Settings
) -> None:
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


def test_weights_of_the_web_ui_are_read_where_the_caller_says_so(client: httpx.Client, form: Form) -> None:
    form.data |= {
        "prompt_syntax": "a1111",
        "source_prompt": "a room with a ((green)) carpet",
        "target_prompt": "a [room] with a (purple:1.3) carpet",
        "equalizer": json.dumps({"room": 0.5}),
    }
    edit = form.send(client).json()
    request = edit["request"]
    assert request["source_prompt"] == "a room with a green carpet"
    assert request["target_prompt"] == "a room with a purple carpet"
    assert request["config"]["equalizer"] == {"room": 0.5, "purple": 1.3}
    assert request["regions"][0]["words"] == ["purple carpet"]
    (warning,) = edit["warnings"]
    assert (warning["code"], warning["field"]) == ("weights_unused", "source_prompt")
    assert "'green' 1.21" in warning["message"]


def test_weights_that_cannot_be_read_are_named(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.data |= {"prompt_syntax": "a1111", "target_prompt": "a (purple room"}
    assert_problem(form.send(client), 422, "prompt_not_supported", "target_prompt")
    assert_nothing_kept(settings)


def test_an_unsure_reading_is_warned_of(client: httpx.Client, form: Form) -> None:
    form.data |= {"source_prompt": "a room with a carpet", "target_prompt": "a carpet with a room"}
    (warning,) = form.send(client).json()["warnings"]
    assert (warning["code"], warning["field"]) == ("reading_unsure", "words")
    form.data |= {"words": "room", "kind": "replacement"}
    assert form.send(client).json()["warnings"] == []


def test_the_error_for_an_unknown_model_lists_the_known_ones(
    client: httpx.Client, form: Form, announce: Announce
) -> None:
    announce(name="sd14")
    form.data["model"] = "sd9"
    detail = form.send(client).json()["detail"]
    assert "demo" in detail
    assert "sd14" in detail


@pytest.mark.parametrize("missing", ["image", "mask"])
def test_a_missing_file_is_named(missing: str, client: httpx.Client, form: Form, settings: Settings) -> None:
    form.files = [each for each in form.files if each[0] != missing]
    assert_problem(form.send(client), 422, "invalid_request", missing)
    assert_nothing_kept(settings)


def test_a_missing_prompt_is_named(client: httpx.Client, form: Form, settings: Settings) -> None:
    del form.data["target_prompt"]
    problem = assert_problem(form.send(client), 422, "invalid_request", "target_prompt")
    assert problem["detail"] == "say what the image shows after the edit, or give an `instruction`"
    assert_nothing_kept(settings)


def test_a_body_that_is_not_a_form_is_415(client: httpx.Client, settings: Settings) -> None:
    assert_problem(client.post("/v1/edits", json={"image": "x"}), 415, "unsupported_media_type", None)
    assert_problem(client.post("/v1/edits", content=b""), 415, "unsupported_media_type", None)
    assert_nothing_kept(settings)


def test_a_broken_form_is_400(client: httpx.Client, settings: Settings) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert_problem(
        client.post("/v1/edits", content=b"--y\r\nnonsense", headers=headers), 400, "malformed_request", None
    )
    assert_nothing_kept(settings)


@pytest.fixture
def small(settings: Settings, announce: Announce) -> Iterator[httpx.Client]:
    """A client of a front end with tight limits."""
    announce()
    limits = {"max_upload_bytes": 20_000, "max_body_bytes": 100_000, "max_pixels": 4000, "max_side": 100}
    with serving(settings.model_copy(update=limits)) as client:
        yield client


def test_a_part_with_too_many_bytes_is_413(small: httpx.Client, form: Form, settings: Settings) -> None:
    form.files[0] = ("image", picture() + b"\0" * 20_000)
    assert_problem(form.send(small), 413, "upload_too_large", "image")
    assert_nothing_kept(settings)


@pytest.mark.parametrize("size", [(120, 4), (90, 90)])
def test_too_many_pixels_are_413(size: tuple[int, int], small: httpx.Client, form: Form, settings: Settings) -> None:
    form.files[0] = ("image", picture(size))
    problem = assert_problem(form.send(small), 413, "image_too_large", "image")
    assert f"{size[0]}x{size[1]}" in problem["detail"]
    assert_nothing_kept(settings)


def test_a_body_with_too_many_bytes_is_413(small: httpx.Client, form: Form, settings: Settings) -> None:
    form.files[0] = ("image", b"\0" * 2_000_000)
    assert_problem(form.send(small), 413, "upload_too_large", None)
    assert_nothing_kept(settings)


def test_a_body_of_undeclared_length_is_cut_off(small: httpx.Client, settings: Settings) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(40):
            yield b"\0" * 10_000

    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert_problem(small.post("/v1/edits", content=endless(), headers=headers), 413, "upload_too_large", None)
    assert_nothing_kept(settings)


def test_a_decompression_bomb_is_413(client: httpx.Client, form: Form, settings: Settings) -> None:
    form.files[0] = ("image", encode(Image.new("1", (13_000, 13_000))))
    assert len(form.files[0][1]) < 50_000
    assert_problem(form.send(client), 413, "image_too_large", "image")
    assert_nothing_kept(settings)


def test_no_live_worker_is_503(settings: Settings, announce: Announce, form: Form) -> None:
    announce(ttl_s=-1)
    with serving(settings) as client:
        response = form.send(client)
    assert_problem(response, 503, "no_worker", "model")
    assert int(response.headers["retry-after"]) > 0
    assert_nothing_kept(settings)


def test_a_full_queue_is_503(settings: Settings, announce: Announce, form: Form) -> None:
    announce()
    with serving(settings.model_copy(update={"queue_limit": 1})) as client:
        first = form.send(client)
        response = form.send(client)
    assert first.status_code == 202
    assert_problem(response, 503, "queue_full", None)
    assert int(response.headers["retry-after"]) > 0
    with connect(settings) as redis:
        assert [each.id for each in Records(redis, settings).list("local").records] == [first.json()["id"]]
    stored = ObjectStore.from_settings(settings).keys("local/")
    assert {key.split("/")[1] for key in stored} == {first.json()["id"]}


def test_redis_away_is_503(settings: Settings, form: Form) -> None:
    away = {"redis_url": f"redis://127.0.0.1:{free_port()}/0", "redis_retries": 0}
    with serving(settings.model_copy(update=away)) as client:
        response = form.send(client)
    assert_problem(response, 503, "queue_unavailable", None)
    assert int(response.headers["retry-after"]) > 0
    assert_nothing_kept(settings)


def test_storage_away_is_503(settings: Settings, announce: Announce, form: Form) -> None:
    announce()
    away = {
        "storage_url": "s3://bucket",
        "s3_endpoint": f"http://127.0.0.1:{free_port()}",
        "s3_access_key_id": "key",
        "s3_secret_access_key": SecretStr("secret"),
        "storage_retries": 0,
    }
    with serving(settings.model_copy(update=away)) as client:
        response = form.send(client)
    assert_problem(response, 503, "storage_unavailable", None)
    assert int(response.headers["retry-after"]) > 0
    assert_nothing_kept(settings)


def test_an_invalid_request_is_rejected_before_decoding(
    settings: Settings, announce: Announce, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce()

    def decoded(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    with serving(settings.model_copy(update={"queue_limit": 1})) as client:
        edit = form.send(client, {"Idempotency-Key": "one"}).json()
        monkeypatch.setattr("service.images.inputs.read_image", decoded)
        assert_problem(form.send(client), 503, "queue_full")
        # What was accepted before is told all the same.
        assert form.send(client, {"Idempotency-Key": "one"}).json()["id"] == edit["id"]


def test_concurrent_uploads_are_limited_and_do_not_delay_status(
    settings: Settings, announce: Announce, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce()
    monkeypatch.setattr(UploadLimiter.__init__, "__kwdefaults__", {"patience_s": 600.0})
    within, most, go, lock = 0, 0, threading.Event(), threading.Lock()

    def decode(*_: object, **__: object) -> Image.Image:
        nonlocal within, most
        with lock:
            within += 1
            most = max(most, within)
        go.wait(2 * PATIENCE_S)
        with lock:
            within -= 1
        return Image.new("RGB", SIZE)

    monkeypatch.setattr("service.images.inputs.read_image", decode)
    with serving(settings.model_copy(update={"submits_at_a_time": 2})) as client, ThreadPoolExecutor(45) as pool:
        sent = [pool.submit(form.send, client) for _ in range(45)]
        wait_until(lambda: within == 2)
        assert client.get("/v1/edits").status_code == 200
        assert not any(each.done() for each in sent)
        go.set()
        assert {each.result().status_code for each in sent} == {202}
    assert most == 2


def test_a_request_that_waits_too_long_gets_503_with_retry_after(
    settings: Settings, announce: Announce, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce()
    monkeypatch.setattr(UploadLimiter.__init__, "__kwdefaults__", {"patience_s": 0.1})
    begun, go = threading.Event(), threading.Event()

    def decode(*_: object, **__: object) -> Image.Image:
        begun.set()
        go.wait(PATIENCE_S)
        return Image.new("RGB", SIZE)

    monkeypatch.setattr("service.images.inputs.read_image", decode)
    with serving(settings.model_copy(update={"submits_at_a_time": 1})) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(form.send, client)
        begun.wait(PATIENCE_S)
        answer = form.send(client)
        assert_problem(answer, 503, "busy")
        assert int(answer.headers["retry-after"]) > 0
        go.set()
        assert first.result().status_code == 202
        assert form.send(client).status_code == 202
