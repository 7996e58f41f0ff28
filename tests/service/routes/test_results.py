"""The pictures of an edit in every state."""

from __future__ import annotations

import httpx
import pytest

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


def test_what_is_not_there_is_404(client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
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


def test_a_failed_edit_has_its_problem_for_a_result(
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
