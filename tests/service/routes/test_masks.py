"""Masks over real HTTP: submitted, looked at, listed, canceled, used in an edit."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.records.store import Records
from jobs.schema import MaskRecord, StoredObject
from jobs.settings import Settings
from jobs.storage import ObjectStore, result_key, sha256
from magedit.masks.raster import describe
from magedit.masks.shapes import MaskShape
from service.backend import Backend
from service.edits.chaining import find_masks
from tests.service.conftest import SIZE, Announce, Form, assert_problem, encode, picture, serving

CLICK: dict[str, Any] = {"points": "[[20, 15, 1]]"}


@pytest.fixture
def masks(client: httpx.Client, announce: Announce) -> httpx.Client:
    """A client of a front end whose model finds things in every way."""
    announce(finds_by=("points", "box", "words"))
    return client


def send(client: httpx.Client, headers: dict[str, str] | None = None, **data: Any) -> httpx.Response:
    return client.post("/v1/masks", files={"image": ("image.png", picture())}, data=data, headers=headers)


def find(settings: Settings, mask_id: str, *boxes: tuple[int, int, int, int]) -> None:
    """What a worker does: claim the mask and finish it with these rectangles."""
    with connect(settings) as redis:
        records = Records(redis, settings)
        claim = records.claim(mask_id, "worker-1")
        assert isinstance(claim, MaskRecord)
        found, stored = [], []
        for number, box in enumerate(boxes):
            picture = Image.new("L", SIZE)
            picture.paste(255, box)
            found.append(describe(picture, 0.9 - 0.1 * number))
            name, data = f"mask-{number}.png", encode(picture)
            key = result_key(claim, name)
            ObjectStore.from_settings(settings).put(key, data, "image/png")
            stored.append(
                StoredObject(name=name, key=key, content_type="image/png", size=len(data), sha256=sha256(data))
            )
        assert records.commit_mask(claim, found, "segmenter", stored) == "succeeded"
        JobQueue(redis, records).remove(claim)


def test_mask_is_stored_and_queued_before_edits(masks: httpx.Client, form: Form, settings: Settings) -> None:
    edit = form.send(masks).json()
    response = send(masks, **CLICK)
    assert response.status_code == 202, response.text
    mask = response.json()
    assert response.headers["location"] == mask["links"]["self"] == f"/v1/masks/{mask['id']}"
    assert (mask["state"], mask["queue_position"], mask["candidates"], mask["found_by"]) == ("queued", 0, [], None)
    assert mask["request"]["points"] == [[20, 15, 1]]
    assert masks.get(f"/v1/edits/{edit['id']}").json()["queue_position"] == 1
    with connect(settings) as redis:
        assert JobQueue(redis, Records(redis, settings)).dequeue("demo") == (mask["id"], "high")


def test_edits_and_masks_are_separate_resources(masks: httpx.Client, form: Form) -> None:
    edit, mask = form.send(masks).json()["id"], send(masks, **CLICK).json()["id"]
    assert [each["id"] for each in masks.get("/v1/edits").json()["edits"]] == [edit]
    assert [each["id"] for each in masks.get("/v1/masks").json()["masks"]] == [mask]
    assert_problem(masks.get(f"/v1/edits/{mask}"), 404, "not_found")
    assert_problem(masks.get(f"/v1/masks/{edit}"), 404, "not_found")
    assert masks.get("/v1/usage").json()["counts"]["accepted"] == masks.get("/v1/usage").json()["counts"]["masks"] == 1


def test_a_finished_mask_has_its_candidates_and_their_pictures(masks: httpx.Client, settings: Settings) -> None:
    mask_id = send(masks, **CLICK).json()["id"]
    assert_problem(masks.get(f"/v1/masks/{mask_id}/candidates/0"), 409, "not_ready")
    find(settings, mask_id, (10, 10, 30, 20), (0, 0, 64, 40))
    mask = masks.get(f"/v1/masks/{mask_id}").json()
    assert (mask["state"], mask["found_by"], len(mask["candidates"])) == ("succeeded", "segmenter", 2)
    best = mask["candidates"][0]
    assert (best["score"], best["area"], best["box"]) == (0.9, 200, [10, 10, 20, 10])
    assert sorted(best["polygon"][0]) == [[10, 10], [10, 20], [30, 10], [30, 20]]
    assert best["rle"]["size"] == [SIZE[1], SIZE[0]]
    picture = Image.open(io.BytesIO(masks.get(best["href"]).content))
    assert (picture.mode, picture.size, picture.getbbox()) == ("L", SIZE, (10, 10, 30, 20))
    assert_problem(masks.get(f"/v1/masks/{mask_id}/candidates/2"), 404, "no_such_file", "number")


def test_a_candidate_s_bytes_can_be_asked_for_where_results_are_redirected(
    s3_settings: Settings, announce: Announce
) -> None:
    announce(finds_by=("points",))
    settings = s3_settings.model_copy(update={"redirect_results": True})
    with serving(settings) as client:
        mask_id = send(client, **CLICK).json()["id"]
        find(settings, mask_id, (10, 10, 30, 20))
        path = f"/v1/masks/{mask_id}/candidates/0"
        assert client.get(path).status_code == 303
        with Image.open(io.BytesIO(client.get(path + "?redirect=false").content)) as own:
            assert own.getbbox() == (10, 10, 30, 20)


@pytest.mark.parametrize(
    ("data", "box"),
    [
        ({"mask_id": "{}"}, (10, 10, 30, 20)),
        ({"mask_shapes": '[{"mask_id": "{}", "candidate": 1, "shrink": 1}]'}, (0, 0, 64, 39)),
    ],
)
def test_mask_id_replaces_a_mask_picture(
    masks: httpx.Client, form: Form, settings: Settings, data: dict[str, str], box: tuple[int, int, int, int]
) -> None:
    mask_id = send(masks, **CLICK).json()["id"]
    form.files = form.files[:1]
    form.data |= {name: value.replace("{}", mask_id, 1) for name, value in data.items()}
    assert_problem(form.send(masks), 409, "not_ready")
    find(settings, mask_id, (10, 10, 30, 20), (0, 0, 64, 40))
    response = form.send(masks)
    assert response.status_code == 202, response.text
    with connect(settings) as redis:
        record = Records(redis, settings).require(response.json()["id"], "local")
    kept = Image.open(io.BytesIO(ObjectStore.from_settings(settings).get(record.masks[0])))
    assert kept.getbbox() == box


def test_a_model_without_a_finder_is_refused_before_decoding(client: httpx.Client) -> None:
    answer = client.post("/v1/masks", files={"image": ("image.png", b"no picture")}, data=CLICK)
    assert_problem(answer, 422, "no_finder", "points")


def test_too_many_regions_are_refused_before_a_mask_is_fetched(
    masks: httpx.Client, form: Form, settings: Settings
) -> None:
    mask_id = send(masks, **CLICK).json()["id"]
    find(settings, mask_id, (10, 10, 30, 20))
    ObjectStore.from_settings(settings).delete_prefix("local/")
    form.files = form.files[:1]
    form.data["mask_id"] = [mask_id] * (settings.max_regions + 1)
    assert_problem(form.send(masks), 422, "region_mismatch", "mask")
    form.data["mask_id"] = [mask_id]
    assert_problem(form.send(masks), 410, "object_not_found")


def test_a_mask_that_several_shapes_name_is_fetched_once(masks: httpx.Client, settings: Settings) -> None:
    mask_id = send(masks, **CLICK).json()["id"]
    find(settings, mask_id, (10, 10, 30, 20), (0, 0, 64, 40))
    backend = Backend.open(settings)
    shapes = [MaskShape(mask_id=mask_id, candidate=number) for number in (0, 1, 0)]
    found = find_masks(shapes, "local", backend)
    backend.close()
    assert found[2] is found[0]
    assert found[1].getbbox() == (0, 0, 64, 40)


def test_a_mask_of_another_picture_s_size_is_refused(masks: httpx.Client, form: Form, settings: Settings) -> None:
    mask_id = send(masks, **CLICK).json()["id"]
    find(settings, mask_id, (10, 10, 30, 20))
    form.files = [("image", picture((32, 32)))]
    form.data["mask_id"] = mask_id
    assert_problem(form.send(masks), 422, "mask_size_mismatch", "mask_shapes.0")


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ({}, "invalid_request", "points"),
        ({"points": "[[64, 0, 1]]"}, "point_outside_image", "points.0"),
        ({"points": "[[1, 1, 1], [5, -1, 0]]"}, "point_outside_image", "points.1"),
        ({"points": "[[1, 1, 0]]"}, "invalid_request", "points"),
        ({"points": "[[1, 1, 2]]"}, "invalid_request", "points.0.2"),
        ({"points": "[[1, 1]]"}, "invalid_request", "points.0.2"),
        ({"box": "[64, 0, 5, 5]"}, "box_invalid", "box"),
        ({"box": "[0, 0, 0, 5]"}, "invalid_request", "box.2"),
        ({"words": "sofa", "points": "[[1, 1, 1]]"}, "invalid_request", "words"),
        ({"words": " "}, "invalid_request", "words"),
        ({"point": "[[1, 1, 1]]"}, "unknown_field", "point"),
        ({"points": "[[1, 1, 1]]", "grow": "-1"}, "invalid_request", "grow"),
    ],
)
def test_invalid_mask_prompts_are_rejected_by_field(
    masks: httpx.Client, data: dict[str, Any], code: str, field: str
) -> None:
    assert_problem(send(masks, **data), 422, code, field)
    assert masks.get("/v1/masks").json()["masks"] == []


def test_rejections_name_the_supported_inputs(masks: httpx.Client, announce: Announce) -> None:
    problem = assert_problem(send(masks, points="[[1, 1, 1], 20]"), 422, "invalid_request", "points.1")
    assert "such as [[24, 24, 1]]" in problem["detail"]
    announce(finds_by=("words",), vocabulary=("carpet", "room"))
    assert send(masks, words="all carpets").status_code == 202
    problem = assert_problem(send(masks, words="all balloons"), 422, "prompt_not_supported", "words")
    assert "this model does not know: balloons. It knows: carpet, room" in problem["detail"]


def test_unsupported_input_is_rejected_with_no_finder(client: httpx.Client, announce: Announce) -> None:
    announce(finds_by=("words",))
    problem = assert_problem(send(client, **CLICK), 422, "no_finder", "points")
    assert "MAGEDIT_SEGMENTER" in problem["detail"]


def test_a_mask_can_be_sent_again_canceled_and_deleted(masks: httpx.Client) -> None:
    key = {"Idempotency-Key": "one"}
    first, second = send(masks, key, **CLICK), send(masks, key, **CLICK)
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotent-replayed"] == "true"
    path = first.headers["location"]
    assert masks.put(f"{path}/cancel").json()["state"] == "canceled"
    assert masks.delete(path).status_code == 204
    assert_problem(masks.get(path), 404, "not_found")


def test_idempotency_keys_of_edits_and_masks_are_separate(masks: httpx.Client, form: Form) -> None:
    key = {"Idempotency-Key": "both"}
    assert form.send(masks, key).status_code == 202
    assert_problem(send(masks, key, **CLICK), 422, "idempotency_key_reused", "Idempotency-Key")


def test_masks_have_events_like_edits(masks: httpx.Client, settings: Settings) -> None:
    mask_id = send(masks, **CLICK).json()["id"]
    find(settings, mask_id, (10, 10, 30, 20))
    events = masks.get(f"/v1/masks/{mask_id}/events").text
    told = json.loads(next(line for line in events.splitlines() if line.startswith("data: "))[6:])
    assert told["candidates"][0]["box"] == [10, 10, 20, 10]
