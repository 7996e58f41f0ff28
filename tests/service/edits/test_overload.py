"""Submissions that are too large or too many, and submissions during an outage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image
from pydantic import SecretStr

from jobs.connection import connect
from jobs.records.store import Records
from jobs.settings import Settings
from jobs.storage import ObjectStore
from service.images.upload_limiter import UploadLimiter
from tests.conftest import PATIENCE_S, free_port, wait_until
from tests.service.conftest import SIZE, Announce, Form, assert_problem, encode, picture, serving
from tests.service.edits.kept import assert_nothing_kept


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
