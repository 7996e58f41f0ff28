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
