"""`POST /v1/images/edits` on the wire: what is honoured, what is refused, in OpenAI's shape."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from jobs import keys
from jobs.connection import connect
from jobs.schema import State
from jobs.settings import Settings
from jobs.storage import ObjectStore
from jobs.tenants.api_keys import SCOPES, ApiKeys
from jobs.tenants.limits import Limits
from magedit.errors import NothingFound
from service.app import create_app
from service.backend import Backend
from service.edits.watcher import Snapshot, Watch
from service.openai.answers import events
from service.openai.form import FIELDS, ImagesForm
from tests.conftest import PATIENCE_S, wait_until
from tests.jobs.desk import Desk
from tests.service.conftest import SIZE, Announce, WorkerSide, encode, mask, picture, serving
from tests.service.routes.test_masks import find
from worker.problems import problem_of

PATH = "/v1/images/edits"
PROMPTS = {"source_prompt": "a room with a green carpet", "prompt": "a room with a purple carpet"}


def alpha_mask() -> bytes:
    """OpenAI's mask: transparent where to edit."""
    image = Image.new("RGBA", SIZE, (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (10, 10, 30, 30))
    return encode(image)


def send(client: httpx.Client, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    files = [("image", ("room.png", picture(), "image/png")), ("mask", ("mask.png", alpha_mask(), "image/png"))]
    return client.post(PATH, files=files, data={**PROMPTS, **fields}, headers=headers)


def streaming(client: httpx.Client, **fields: Any) -> AbstractContextManager[httpx.Response]:
    """The same as it comes."""
    files = [("image", ("room.png", picture(), "image/png")), ("mask", ("mask.png", alpha_mask(), "image/png"))]
    return client.stream("POST", PATH, files=files, data={**PROMPTS, **fields})


def assert_refused(answer: httpx.Response, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param), error
    assert answer.headers["x-should-retry"] in {"true", "false"}
    return error


@pytest.fixture
def working(client: httpx.Client, worker_side: WorkerSide) -> Iterator[Callable[[Callable[[Any], None]], None]]:
    """Lets a worker do something with the next edit that is submitted."""
    threads: list[threading.Thread] = []

    def start(work: Callable[[Any], None]) -> None:
        def run() -> None:
            wait_until(lambda: bool(client.get("/v1/edits?state=queued").json()["edits"]))
            (edit,) = client.get("/v1/edits?state=queued").json()["edits"]
            work(worker_side.claim(edit["id"]))

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


def test_the_result_is_the_answer(client: httpx.Client, working: Any, worker_side: WorkerSide) -> None:
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


def test_a_method_that_is_named_stays(client: httpx.Client) -> None:
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


def send_unmasked(client: httpx.Client, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    files = [("image", ("room.png", picture(), "image/png"))]
    return client.post(PATH, files=files, data={**PROMPTS, **fields}, headers=headers)


@pytest.fixture
def finding(client: httpx.Client, announce: Announce) -> Iterator[Callable[[Callable[[str], object]], None]]:
    """Lets a worker of a model that finds things by words do something with the next mask that is asked for."""
    announce(finds_by=("words",))
    with ThreadPoolExecutor(1) as pool:
        works: list[Future[None]] = []

        def start(work: Callable[[str], object]) -> None:
            def run() -> None:
                wait_until(lambda: bool(client.get("/v1/masks?state=queued").json()["masks"]))
                (mask,) = client.get("/v1/masks?state=queued").json()["masks"]
                work(mask["id"])

            works.append(pool.submit(run))

        yield start
        for each in works:
            each.result()


def test_without_a_mask_the_changed_thing_is_located(
    client: httpx.Client, settings: Settings, finding: Any, working: Any, worker_side: WorkerSide
) -> None:
    masks: list[bytes] = []

    def edit(claim: Any) -> None:
        masks.append(worker_side.store.get(claim.masks[0]))
        worker_side.succeed(claim)

    finding(lambda mask_id: find(settings, mask_id, (10, 10, 30, 20)))
    working(edit)
    answer = send_unmasked(client, {"Idempotency-Key": "one"})
    assert answer.status_code == 200, answer.text
    found = client.get(f"/v1/masks/{answer.headers['mask-id']}").json()
    assert found["request"]["words"] == "a green carpet"
    with Image.open(io.BytesIO(masks[0])) as kept:
        assert kept.getbbox() == (10, 10, 30, 20)
    # Repeated, it is the same mask and the same edit, also when the mask is gone.
    for masks_kept in (1, 0):
        again = send_unmasked(client, {"Idempotency-Key": "one"})
        assert again.headers["idempotent-replayed"] == "true"
        assert again.content == answer.content
        assert [again.headers[name] for name in ("mask-id", "edit-id")] == [
            answer.headers[name] for name in ("mask-id", "edit-id")
        ]
        assert len(client.get("/v1/masks").json()["masks"]) == masks_kept
        client.delete(f"/v1/masks/{answer.headers['mask-id']}")
    reused = send_unmasked(client, {"Idempotency-Key": "one"}, seed="7")
    assert_refused(reused, 400, "idempotency_key_reused", "Idempotency-Key")


def test_an_instruction_stands_for_prompt_and_mask(
    client: httpx.Client, announce: Announce, working: Any, worker_side: WorkerSide
) -> None:
    announce(finds_by=("words",), methods=("mag-edit", "blended-latent"))
    working(worker_side.succeed)
    answer = send_unmasked(client, source_prompt="", prompt="", instruction="make the carpet purple")
    assert answer.status_code == 200, answer.text
    request = client.get(answer.headers["location"]).json()["request"]
    assert (request["source_prompt"], request["target_prompt"]) == ("a carpet", "a purple carpet")
    assert request["config"]["method"] == "mag-edit"
    assert client.get("/v1/masks").json()["masks"] == []


def test_a_mask_that_is_not_found_is_reported(client: httpx.Client, worker_side: WorkerSide, finding: Any) -> None:
    def nothing(mask_id: str) -> None:
        claim = worker_side.records.claim(mask_id, "worker-1")
        assert claim is not None
        worker_side.records.commit_failure(claim, problem_of(NothingFound("no place in the picture matches 'carpet'")))

    finding(nothing)
    error = assert_refused(send_unmasked(client), 400, "nothing_found", "mask")
    assert "'a green carpet' was searched for" in error["message"]
    assert client.get("/v1/edits").json()["edits"] == []


def test_a_mask_that_takes_too_long_is_named(settings: Settings, announce: Announce) -> None:
    announce(finds_by=("words",))
    impatient = settings.model_copy(update={"images_wait_s": 0})
    with serving(impatient, app=create_app(impatient)) as client:
        answer = send_unmasked(client)
        error = assert_refused(answer, 504, "not_finished_in_time")
        assert client.get(f"/v1/masks/{answer.headers['mask-id']}").json()["state"] == "queued"
        assert answer.headers["mask-id"] in error["message"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"source_prompt": "a room"}, "is not in the picture yet"),
        (
            {"source_prompt": "a purple room with a green carpet", "prompt": "a green room with a purple carpet"},
            "2 things",
        ),
        ({"source_prompt": "", "method": "blended-latent"}, "do not show what changes"),
    ],
)
def test_prompts_that_name_nothing_to_locate_need_a_mask(
    client: httpx.Client, announce: Announce, fields: dict[str, Any], told: str
) -> None:
    announce(finds_by=("words",), methods=("mag-edit", "blended-latent"))
    error = assert_refused(send_unmasked(client, **fields), 400, "invalid_request", "mask")
    assert told in error["message"]


def test_an_invalid_edit_starts_no_search(client: httpx.Client, announce: Announce) -> None:
    announce(finds_by=("words",))
    assert_refused(send_unmasked(client, words="zeppelin"), 400, "word_not_in_target_prompt", "words")
    assert client.get("/v1/masks").json()["masks"] == []


def test_a_model_without_search_by_words_needs_a_mask(client: httpx.Client) -> None:
    error = assert_refused(send_unmasked(client), 400, "invalid_request", "mask")
    assert "cannot locate things by words" in error["message"]


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


def test_no_worker_asks_to_come_again(shared_client: httpx.Client, announce: Announce) -> None:
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


def told(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events of a stream, as they come."""
    return (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))


def test_a_stream_has_partial_images_evenly_and_the_result(
    client: httpx.Client, working: Any, worker_side: WorkerSide
) -> None:
    heard = threading.Semaphore(0)

    def work(claim: Any) -> None:
        # Of 10 steps: two pictures come after a third and after two thirds.
        worker_side.show(claim, 1)
        for step in (6, 8):
            worker_side.show(claim, step)
            heard.acquire(timeout=PATIENCE_S)
        worker_side.show(claim, 9)
        worker_side.succeed(claim)

    working(work)
    events = []
    with streaming(client, stream="true", partial_images="2", quality="low") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for event in told(answer.iter_lines()):
            events.append(event)
            heard.release()
    *partial, last = events
    assert last["type"] == "image_edit.completed"
    assert base64.b64decode(last["b64_json"]) == picture()
    assert last["usage"]["total_tokens"] == 0
    assert [(each["type"], each["partial_image_index"]) for each in partial] == [
        ("image_edit.partial_image", 0),
        ("image_edit.partial_image", 1),
    ]
    assert {(each["size"], each["quality"], each["output_format"]) for each in partial} == {("8x8", "low", "png")}


def test_a_stream_ends_with_the_error(client: httpx.Client, working: Any, worker_side: WorkerSide) -> None:
    working(worker_side.fail)
    answer = send(client, stream="true")
    assert answer.status_code == 200
    (event,) = told(answer.text.splitlines())
    assert (event["type"], event["error"]["code"]) == ("error", "edit_diverged")


def test_a_stream_whose_result_is_lost_ends_with_the_error(
    client: httpx.Client, working: Any, worker_side: WorkerSide, tmp_path: Path
) -> None:
    elsewhere = ObjectStore.from_settings(worker_side.settings.model_copy(update={"state_dir": tmp_path}))
    working(replace(worker_side, store=elsewhere).succeed)
    (event,) = told(send(client, stream="true").text.splitlines())
    assert (event["type"], event["error"]["code"]) == ("error", "object_not_found")


def streamed(settings: Settings, watch: Watch) -> list[bytes]:
    """The events of an edit whose record is not in Redis, as far as ``watch`` tells of it."""
    desk, backend = Desk(settings), Backend.open(settings)
    unread: Any = None

    async def collect() -> list[bytes]:
        return [event async for event in events(desk.record(), ImagesForm(edit=unread), backend, watch)]

    try:
        return asyncio.run(collect())
    finally:
        backend.close()
        desk.close()


def test_a_stream_reports_the_deletion_of_its_edit(settings: Settings) -> None:
    end = Snapshot(
        revision=1, state=State.SUCCEEDED, cancel_requested=False, attempt=1, edit="{}", progress="{}", warnings=0
    )
    (event,) = streamed(settings, Watch(lambda seen: dict.fromkeys(seen, end)))
    assert b"event: error" in event
    assert b'"expired"' in event


def test_a_stream_ends_with_an_error_when_the_server_stops(settings: Settings) -> None:
    class Closing(Watch):
        async def after(self, job_id: str, revision: int) -> Snapshot | None:
            await self.close()
            return await super().after(job_id, revision)

    (event,) = streamed(settings, Closing(lambda seen: {}))  # noqa: ARG005 (nothing changes)
    assert b"event: error" in event
    assert b'"not_finished_in_time"' in event
    assert b"/result" in event


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
def test_keys_are_asked_for_in_openais_shape(
    locked: httpx.Client, locked_settings: Settings, scopes: tuple[Any, ...], status: int, code: str, kind: str
) -> None:
    headers = {}
    if scopes:
        with connect(locked_settings) as redis:
            headers["Authorization"] = f"Bearer {ApiKeys(redis).create('acme', scopes)[1]}"
    assert assert_refused(send(locked, headers), status, code)["type"] == kind


def test_rates_and_quotas_have_openais_shape(
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
