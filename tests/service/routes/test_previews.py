"""The preview of a running edit, asked for."""

from __future__ import annotations

import httpx

from tests.service.conftest import Form, WorkerSide, assert_problem, picture


def test_the_latest_preview_while_the_edit_runs(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    edit = form.send(client).json()
    address = edit["links"]["preview"]
    assert address == f"/v1/edits/{edit['id']}/preview"
    assert_problem(waiting := client.get(address), 404, "no_preview")
    assert waiting.headers["retry-after"] == "1"
    claim = worker_side.claim(edit["id"])
    worker_side.show(claim, 3)
    first = client.get(address)
    assert (first.status_code, first.content) == (200, picture((8, 8)))
    assert first.headers["content-type"] == "image/jpeg"
    assert [first.headers[f"preview-{name}"] for name in ("result", "step", "steps")] == ["0", "3", "10"]
    unchanged = client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.headers["preview-step"]) == (304, "3")
    worker_side.show(claim, 4)
    assert client.get(address, headers={"If-None-Match": first.headers["etag"]}).status_code == 200
    worker_side.succeed(claim)
    problem = assert_problem(client.get(address), 404, "no_preview")
    assert "/result" in problem["detail"]


def test_another_edit_has_no_preview(client: httpx.Client) -> None:
    assert_problem(client.get(f"/v1/edits/{'0' * 32}/preview"), 404, "not_found")
