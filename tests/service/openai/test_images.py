"""`POST /v1/images/edits` on the wire: what is honoured, what is refused, in OpenAI's shape."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest
from PIL import Image

from jobs import keys
from jobs.connection import connect
from jobs.settings import Settings
from jobs.storage import ObjectStore
from jobs.tenants.api_keys import SCOPES, ApiKeys
from jobs.tenants.limits import Limits
from service.app import create_app
from service.openai.form import FIELDS
from tests.conftest import wait_until
from tests.service.conftest import Announce, WorkerSide, mask, picture, serving
from tests.service.openai.calls import PATH, PROMPTS, alpha_mask, assert_refused, send


def test_response_contains_the_result(client: httpx.Client, working: Any, worker_side: WorkerSide) -> None:
    working(worker_side.succeed)
    answer = send(client)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"created", "data", "output_format", "size"}
    assert [set(each) for each in body["data"]] == [{"b64_json"}]
    assert base64.b64decode(body["data"][0]["b64_json"]) == picture()
    edit = client.get(answer.headers["location"]).json()
    assert edit["id"] == answer.headers["edit-id"]
    assert edit["request"]["target_prompt"] == PROMPTS["prompt"]


def test_the_transparent_part_is_edited(client: httpx.Client, working: Any, worker_side: WorkerSide) -> None:
    masks: list[bytes] = []

    def look(claim: Any) -> None:
        masks.append(worker_side.store.get(claim.masks[0]))
        worker_side.succeed(claim)

    working(look)
    assert send(client).status_code == 200
    with Image.open(io.BytesIO(masks[0])) as kept:
        assert kept.getbbox() == (10, 10, 30, 30)


def test_addresses_instead_of_pictures(client: httpx.Client, working: Any, worker_side: WorkerSide) -> None:
    working(worker_side.succeed)
    (only,) = send(client, response_format="url").json()["data"]
    assert client.get(only["url"]).content == picture()


def test_without_a_source_prompt_a_suitable_method_is_used(
    client: httpx.Client, announce: Announce, working: Any, worker_side: WorkerSide
) -> None:
    announce(methods=("mag-edit", "blended-latent"))
    working(worker_side.succeed)
    answer = send(client, source_prompt="")
    request = client.get(answer.headers["location"]).json()["request"]
    assert request["config"]["method"] == "blended-latent"


def test_requested_method_is_kept(client: httpx.Client) -> None:
    error = assert_refused(send(client, source_prompt="", method="mag-edit"), 400, "invalid_request", "source_prompt")
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"size": "1024x1024"}, "size"),
        ({"size": "large"}, "size"),
        ({"background": "transparent"}, "background"),
        ({"input_fidelity": "low"}, "input_fidelity"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": "101"}, "output_compression"),
        ({"partial_images": "2"}, "partial_images"),
        ({"partial_images": "4", "stream": "true"}, "partial_images"),
        ({"stream": "true", "response_format": "url"}, "response_format"),
        ({"quality": "high", "preset": "fast"}, "quality"),
        ({"quality": "max"}, "quality"),
        ({"target_prompt": "a room"}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"n": "0"}, "n"),
        ({"n": "9"}, "n"),
        ({"user": "u" * 257}, "user"),
    ],
)
def test_unsupported_parameters_are_rejected_by_name(client: httpx.Client, fields: dict[str, Any], param: str) -> None:
    assert_refused(send(client, None, **fields), 400, "invalid_request", param)
    assert client.get("/v1/edits").json()["edits"] == []


def test_a_png_has_no_quality(client: httpx.Client) -> None:
    assert_refused(send(client, output_compression="50"), 400, "not_together", "output_compression")


def test_every_parameter_of_openais_is_known_or_refused(client: httpx.Client) -> None:
    for name in ("complexity", "frame_count", "moderation"):
        assert name not in FIELDS.names
        error = assert_refused(send(client, None, **{name: "1"}), 400, "unknown_field", name)
        assert name in error["message"]


def test_several_images_are_refused(client: httpx.Client) -> None:
    files = [("image[]", ("a.png", picture(), "image/png")), ("image[]", ("b.png", picture(), "image/png"))]
    answer = client.post(PATH, files=[*files, ("mask", ("m.png", alpha_mask(), "image/png"))], data=PROMPTS)
    assert_refused(answer, 400, "invalid_request", "image")


def test_an_opaque_mask_is_distinguished_from_a_transparent_one(client: httpx.Client) -> None:
    files = [("image", ("a.png", picture(), "image/png")), ("mask", ("m.png", mask(), "image/png"))]
    assert_refused(client.post(PATH, files=files, data=PROMPTS), 400, "mask_empty", "mask")


def test_an_unknown_model_is_not_found(client: httpx.Client) -> None:
    error = assert_refused(send(client, model="gpt-image-2"), 404, "unknown_model", "model")
    assert error["type"] == "not_found_error"


def test_a_failed_edit_is_an_error_that_is_not_repeated(
    client: httpx.Client, working: Any, worker_side: WorkerSide
) -> None:
    working(worker_side.fail)
    answer = send(client)
    assert_refused(answer, 400, "edit_diverged")
    assert answer.headers["x-should-retry"] == "false"
    assert client.get(answer.headers["location"]).json()["state"] == "failed"


def test_a_canceled_edit_is_an_error(client: httpx.Client, working: Any, worker_side: WorkerSide) -> None:
    def cancel(claim: Any) -> None:
        worker_side.records.request_cancel(claim.id)
        worker_side.records.commit_canceled(claim)

    working(cancel)
    assert_refused(send(client), 400, "not_succeeded")


def test_missing_worker_sends_retry_after(shared_client: httpx.Client, announce: Announce) -> None:
    announce(ttl_s=-1)
    answer = send(shared_client)
    assert_refused(answer, 503, "no_worker", "model")
    assert (answer.headers["x-should-retry"], answer.headers["retry-after"]) == ("true", "30")


def test_a_timeout_names_the_address_of_the_result(settings: Settings, announce: Announce) -> None:
    announce()
    impatient = settings.model_copy(update={"images_wait_s": 0})
    with serving(impatient, app=create_app(impatient)) as client:
        answer = send(client)
        error = assert_refused(answer, 504, "not_finished_in_time")
        assert answer.headers["edit-id"] in error["message"]
        assert answer.headers["x-should-retry"] == "false"
        assert client.get(answer.headers["location"]).json()["state"] == "queued"


def test_the_same_key_returns_the_same_edit(client: httpx.Client, working: Any, worker_side: WorkerSide) -> None:
    working(worker_side.succeed)
    first = send(client, {"Idempotency-Key": "one"})
    second = send(client, {"Idempotency-Key": "one"})
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.headers["idempotent-replayed"] == "true"
    assert first.headers["edit-id"] == second.headers["edit-id"]
    assert_refused(send(client, {"Idempotency-Key": "one"}, n="2"), 400, "idempotency_key_reused", "Idempotency-Key")


def test_a_repeated_request_for_an_expired_edit_says_expired(
    client: httpx.Client, working: Any, worker_side: WorkerSide
) -> None:
    working(worker_side.succeed)
    first = send(client, {"Idempotency-Key": "one"})
    edit_id = first.headers["edit-id"]
    worker_side.records.redis.hset(keys.EDIT + edit_id, "expires_at", worker_side.records.now() - 1)
    assert_refused(send(client, {"Idempotency-Key": "one"}), 410, "expired")


def test_an_address_on_s3_ends_with_the_edit(
    s3_settings: Settings, announce: Announce, worker_side: WorkerSide
) -> None:
    announce()
    worker = replace(worker_side, store=ObjectStore.from_settings(s3_settings))
    with serving(s3_settings) as client, ThreadPoolExecutor(1) as pool:
        waits = pool.submit(send, client, {"Idempotency-Key": "one"}, response_format="url")
        wait_until(lambda: waits.done() or bool(client.get("/v1/edits?state=queued").json()["edits"]))
        (edit,) = client.get("/v1/edits?state=queued").json()["edits"]
        worker.succeed(worker.claim(edit["id"]))
        assert waits.result().status_code == 200
        worker.records.redis.hset(keys.EDIT + edit["id"], "expires_at", worker.records.now() + 30)
        (only,) = send(client, {"Idempotency-Key": "one"}, response_format="url").json()["data"]
    assert int(only["url"].partition("X-Amz-Expires=")[2].partition("&")[0]) in range(1, 31)


def test_models_are_listed_as_openais_clients_read_them(client: httpx.Client) -> None:
    body = client.get("/v1/models").json()
    assert body["object"] == "list"
    (only,) = body["data"]
    assert (only["id"], only["object"], only["owned_by"]) == ("demo", "model", "magedit")
    assert only["created"] > 1_700_000_000


@pytest.mark.parametrize(
    ("scopes", "status", "code", "kind"),
    [
        ((), 401, "not_authenticated", "authentication_error"),
        (("edits:read",), 403, "insufficient_scope", "permission_error"),
    ],
)
def test_missing_key_error_has_openais_format(
    locked: httpx.Client, locked_settings: Settings, scopes: tuple[Any, ...], status: int, code: str, kind: str
) -> None:
    headers = {}
    if scopes:
        with connect(locked_settings) as redis:
            headers["Authorization"] = f"Bearer {ApiKeys(redis).create('acme', scopes)[1]}"
    assert assert_refused(send(locked, headers), status, code)["type"] == kind


def test_rate_and_quota_errors_have_openais_format(
    locked: httpx.Client, locked_settings: Settings, announce: Announce
) -> None:
    with connect(locked_settings) as redis:
        once = ApiKeys(redis).create("hasty", SCOPES, limits=Limits(submits_per_minute=1))[1]
        used_up = ApiKeys(redis).create("thrifty", SCOPES, limits=Limits(unet_passes_per_month=1))[1]
    send(locked, {"Authorization": f"Bearer {once}"})
    hasty = send(locked, {"Authorization": f"Bearer {once}"})
    assert assert_refused(hasty, 429, "rate_limited")["type"] == "rate_limit_error"
    assert hasty.headers["x-should-retry"] == "true"
    announce()
    quota = send(locked, {"Authorization": f"Bearer {used_up}"}, n="2")
    assert_refused(quota, 429, "quota_exhausted")
    assert quota.headers["x-should-retry"] == "false"


def test_addresses_that_only_the_key_opens_are_refused(locked: httpx.Client, locked_settings: Settings) -> None:
    with connect(locked_settings) as redis:
        key = ApiKeys(redis).create("acme", SCOPES)[1]
    answer = send(locked, {"Authorization": f"Bearer {key}"}, response_format="url")
    assert_refused(answer, 400, "invalid_request", "response_format")
