"""Who may see what."""

from __future__ import annotations

import httpx

from jobs.schema import JobRecord
from tests.service.conftest import Form, WorkerSide, assert_problem


def test_another_tenants_edit_is_404(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    own = worker_side.records.require(form.send(client).json()["id"], "local")
    other = worker_side.records.create(JobRecord(tenant="other", request=own.request, image=own.image, masks=own.masks))
    for method, path in (("GET", ""), ("GET", "/result"), ("GET", "/artifacts"), ("PUT", "/cancel"), ("DELETE", "")):
        assert_problem(client.request(method, f"/v1/edits/{other.id}{path}"), 404, "not_found")
    assert [edit["id"] for edit in client.get("/v1/edits").json()["edits"]] == [own.id]
    assert worker_side.records.get(other.id) is not None


def test_no_query_parameter_is_ignored(client: httpx.Client, form: Form) -> None:
    edit = form.send(client).json()["id"]
    for path in (
        "/v1/edits",
        f"/v1/edits/{edit}",
        f"/v1/edits/{edit}/events",
        "/v1/models",
        "/v1/methods",
        "/v1/usage",
    ):
        problem = assert_problem(client.get(f"{path}?stat=succeeded"), 422, "unknown_field", "stat")
        assert "unknown query parameter 'stat'; known here: " in problem["detail"]
    assert "known here: cursor, limit, state" in client.get("/v1/edits?stat=queued").json()["detail"]
    assert_problem(client.get("/v1/edits?limit=1&limit=2"), 422, "unknown_field", "limit")
    assert client.get("/v1/edits?limit=1&state=queued").status_code == 200
    assert client.head("/v1/edits?limit=1").status_code == 200


def test_fields_in_the_query_of_a_submission_are_refused_with_the_cure(client: httpx.Client, form: Form) -> None:
    files = [(name, (f"{name}.png", content)) for name, content in form.files]
    answer = client.post("/v1/edits?steps=4", files=files, data=form.data)
    assert "sent as a form" in assert_problem(answer, 422, "unknown_field", "steps")["detail"]
    assert client.get("/v1/edits").json()["edits"] == []


def test_an_id_of_control_characters_is_not_a_server_error(client: httpx.Client) -> None:
    for path in ("/v1/edits/%09", "/v1/edits/%09/result/1", "/v1/edits/%0A/artifacts/%0D"):
        assert_problem(client.get(path), 404, "not_found")
        assert_problem(client.get(f"{path}?stat=1"), 422, "unknown_field", "stat")
        assert client.post(path).headers["allow"]
