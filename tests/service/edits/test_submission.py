"""Submitting over real HTTP: what is accepted is kept and in line, what is refused leaves nothing behind."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from jobs.connection import connect
from jobs.models import Models, tokenizer_sha256
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.settings import Settings
from jobs.storage import ObjectStore, job_prefix
from tests.jobs.conftest import open_ids
from tests.service.conftest import SIZE, Announce, Form, assert_problem, encode, mask, model_info, picture
from tests.service.edits.kept import assert_nothing_kept


def test_accepted_edit_is_stored_and_queued(client: httpx.Client, form: Form, settings: Settings) -> None:
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


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("word not there", {"word": "zebra"}),
        ("prompt too long", {"tokens": 13, "max_tokens": 10}),
        ("unknown word", {"unknown_words": ["zebra"]}),
        ("steps out of bounds", {"maximum": 250}),
        ("no number", {"type": "number"}),
        ("empty mask", {}),
    ],
)
def test_rejections_have_the_values_of_their_message(
    name: str, values: dict[str, Any], client: httpx.Client, form: Form
) -> None:
    files, data, *_ = REFUSED[name]
    form.files = [(each, files.get(each, content)) for each, content in form.files]
    form.data |= data
    assert form.send(client).json()["errors"][0]["values"] == values


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
