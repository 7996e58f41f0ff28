from __future__ import annotations

import httpx
import pytest

from tests.service.conftest import Form, WorkerSide, assert_problem

SAME = ("content-type", "content-length", "etag", "location", "allow", "x-content-type-options")
"""Headers that HEAD and GET have in common."""

PATHS = (
    "/livez",
    "/v1/edits",
    "/v1/edits/{id}",
    "/v1/edits/{id}/result",
    "/v1/models",
    "/v1/edits/0190",
    "/nothing",
    "/",
)


@pytest.mark.parametrize("path", PATHS)
def test_head_responds_like_get_without_a_body(
    path: str, client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    edit_id = form.send(client).json()["id"]
    worker_side.succeed(worker_side.claim(edit_id))
    got, head = client.get(path.format(id=edit_id)), client.head(path.format(id=edit_id))
    assert head.status_code == got.status_code
    assert head.content == b""
    assert got.content != b""
    assert [head.headers.get(name) for name in SAME] == [got.headers.get(name) for name in SAME]


def test_head_of_events_ends(client: httpx.Client, form: Form) -> None:
    head = client.head(f"/v1/edits/{form.send(client).json()['id']}/events")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")


def test_head_is_405_where_get_is_not_allowed(client: httpx.Client) -> None:
    head = client.head("/v1/edits/0190/cancel")
    assert (head.status_code, head.headers["allow"]) == (405, "PUT")


@pytest.mark.parametrize(
    ("path", "allowed"), [("/v1/edits", "GET, HEAD, POST"), ("/v1/edits/0190", "DELETE, GET, HEAD")]
)
def test_allow_header_lists_all_methods(path: str, allowed: str, client: httpx.Client) -> None:
    response = client.patch(path)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed
