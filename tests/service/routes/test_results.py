"""The pictures of an edit in every state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import httpx
import pytest

from jobs import keys
from jobs.settings import Settings
from jobs.storage import ObjectStore
from magedit.client import Client
from tests.service.conftest import Announce, Form, WorkerSide, assert_problem, serving


@pytest.fixture
def edit_id(client: httpx.Client, form: Form) -> str:
    edit_id: str = form.send(client).json()["id"]
    return edit_id


def test_the_result_comes_as_stored(client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
    result, heat = worker_side.succeed(worker_side.claim(edit_id))
    for path in ("result", "result/0"):
        response = client.get(f"/v1/edits/{edit_id}/{path}")
        assert (response.status_code, response.content) == (200, result)
        assert response.headers["content-type"] == "image/png"
        assert response.headers["x-content-type-options"] == "nosniff"
    same = client.get(f"/v1/edits/{edit_id}/result", headers={"if-none-match": response.headers["etag"]})
    assert same.status_code == 304

    listed = client.get(f"/v1/edits/{edit_id}/artifacts").json()["files"]
    assert [each["name"] for each in listed] == ["attention-after-0.png"]
    assert client.get(listed[0]["href"]).content == heat


def test_an_unchanged_picture_is_not_fetched_from_storage(
    client: httpx.Client, edit_id: str, worker_side: WorkerSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_side.succeed(worker_side.claim(edit_id))
    tag = client.get(f"/v1/edits/{edit_id}/result").headers["etag"]
    monkeypatch.setattr(ObjectStore, "get", lambda *_: pytest.fail("fetched"))
    same = client.get(f"/v1/edits/{edit_id}/result", headers={"if-none-match": tag})
    assert (same.status_code, same.headers["etag"], same.content) == (304, tag, b"")


def test_a_result_names_the_parameters_that_reproduce_it(
    client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    form.data |= {"seed": "7", "strength": "0.25"}
    edit_id = form.send(client).json()["id"]
    worker_side.succeed(worker_side.claim(edit_id))
    (listed,) = client.get(f"/v1/edits/{edit_id}").json()["results"]
    assert (listed["seed"], listed["strength"]) == (7, 0.25)
    response = client.get(listed["href"])
    assert (response.headers["edit-seed"], response.headers["edit-strength"]) == ("7", "0.25")
    artifact = client.get(f"/v1/edits/{edit_id}/artifacts/attention-after-0.png")
    assert "edit-seed" not in artifact.headers


def test_missing_results_are_404(client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
    worker_side.succeed(worker_side.claim(edit_id))
    assert_problem(client.get(f"/v1/edits/{edit_id}/result/1"), 404, "no_such_file", "number")
    problem = assert_problem(client.get(f"/v1/edits/{edit_id}/artifacts/other.png"), 404, "no_such_file", "name")
    assert "attention-after-0.png" in problem["detail"]
    assert_problem(client.get(f"/v1/edits/{edit_id}/result/x"), 422, "invalid_request", "number")


@pytest.mark.parametrize("path", ["result", "result/0", "artifacts", "artifacts/attention-after-0.png"])
def test_not_ready_is_409(path: str, client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
    response = client.get(f"/v1/edits/{edit_id}/{path}")
    assert_problem(response, 409, "not_ready")
    assert int(response.headers["retry-after"]) >= 1
    worker_side.claim(edit_id)
    assert_problem(client.get(f"/v1/edits/{edit_id}/{path}"), 409, "not_ready")


def test_the_result_of_a_failed_edit_is_its_problem(
    client: httpx.Client, edit_id: str, worker_side: WorkerSide
) -> None:
    worker_side.fail(worker_side.claim(edit_id))
    problem = assert_problem(client.get(f"/v1/edits/{edit_id}/result"), 409, "edit_diverged")
    assert problem["detail"] == "the latent became infinite"


def test_an_expired_result_is_410(form: Form, announce: Announce, worker_side: WorkerSide) -> None:
    announce()
    # The worker that commits decides how long results are kept.
    brief = worker_side.keeping(0.001)
    with serving(worker_side.settings) as client:
        edit_id = form.send(client).json()["id"]
        brief.succeed(brief.claim(edit_id))
        assert_problem(client.get(f"/v1/edits/{edit_id}/result"), 410, "expired")
        assert_problem(client.get(f"/v1/edits/{edit_id}/artifacts"), 410, "expired")
        assert client.get(f"/v1/edits/{edit_id}").json()["state"] == "succeeded"


def test_a_picture_that_storage_lost_is_410(client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
    worker_side.succeed(worker_side.claim(edit_id))
    worker_side.store.delete_prefix("local/")
    assert_problem(client.get(f"/v1/edits/{edit_id}/result"), 410, "object_not_found")


def test_a_folder_is_not_redirected_to(client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
    result, _ = worker_side.succeed(worker_side.claim(edit_id))
    assert client.get(f"/v1/edits/{edit_id}/result?redirect=true").content == result


class OnS3(NamedTuple):
    """A front end whose pictures are on S3, and a succeeded edit of it."""

    settings: Settings
    client: httpx.Client
    worker: WorkerSide
    edit_id: str
    result: bytes


@pytest.fixture
def on_s3(s3_settings: Settings, announce: Announce, form: Form, worker_side: WorkerSide) -> Iterator[OnS3]:
    announce()
    settings = s3_settings.model_copy(update={"presign_s": 100.0})
    worker = replace(worker_side, store=ObjectStore.from_settings(settings))
    with serving(settings) as client:
        edit_id = form.send(client).json()["id"]
        result, _ = worker.succeed(worker.claim(edit_id))
        yield OnS3(settings, client, worker, edit_id, result)


@pytest.mark.parametrize("path", ["result", "result/0", "artifacts/attention-after-0.png"])
def test_pictures_on_s3_can_be_fetched_from_there(path: str, on_s3: OnS3) -> None:
    own = on_s3.client.get(f"/v1/edits/{on_s3.edit_id}/{path}")
    sent = on_s3.client.get(f"/v1/edits/{on_s3.edit_id}/{path}?redirect=true")
    assert (own.status_code, sent.status_code) == (200, 303)
    assert sent.headers["cache-control"] == "no-store"
    assert "X-Amz-Expires=100" in sent.headers["location"]
    there = httpx.get(sent.headers["location"])
    assert (there.status_code, there.content, there.headers["content-type"]) == (200, own.content, "image/png")


def test_presigned_url_expires_with_the_edit(on_s3: OnS3) -> None:
    path = f"/v1/edits/{on_s3.edit_id}/result?redirect=true"
    redis = on_s3.worker.records.redis
    redis.hset(keys.EDIT + on_s3.edit_id, "expires_at", on_s3.worker.records.now() + 30)
    address = on_s3.client.get(path).headers["location"]
    assert int(address.partition("X-Amz-Expires=")[2].partition("&")[0]) in range(20, 31)
    on_s3.worker.store.delete_prefix("local/")
    assert_problem(on_s3.client.get(path), 410, "object_not_found")


def test_redirect_follows_setting_and_client_preference(on_s3: OnS3) -> None:
    with serving(on_s3.settings.model_copy(update={"redirect_results": True})) as client:
        path = f"/v1/edits/{on_s3.edit_id}/result"
        assert client.get(path).status_code == 303
        assert client.get(path + "?redirect=false").content == on_s3.result
        with Client(str(client.base_url)) as typed:
            assert typed.result(on_s3.edit_id) == on_s3.result
