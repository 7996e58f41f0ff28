"""Looking at edits, listing, canceling, deleting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import httpx
import pytest

from jobs import keys
from jobs.models import ModelInfo
from tests.jobs.conftest import open_ids
from tests.service.conftest import Announce, Form, WorkerSide, assert_problem

UNKNOWN = "0" * 32


@pytest.fixture
def edit_id(client: httpx.Client, form: Form) -> str:
    edit_id: str = form.send(client).json()["id"]
    return edit_id


def test_edit_lifecycle(client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
    queued = client.get(f"/v1/edits/{edit_id}")
    assert queued.status_code == 200
    assert int(queued.headers["retry-after"]) >= 1
    assert (queued.json()["state"], queued.json()["queue_position"], queued.json()["progress"]) == ("queued", 0, None)

    claim = worker_side.claim(edit_id)
    worker_side.progress(claim, 0.5)
    running = client.get(f"/v1/edits/{edit_id}")
    assert int(running.headers["retry-after"]) >= 1
    assert running.json()["state"] == "running"
    assert running.json()["queue_position"] is None
    assert running.json()["attempt"] == 1
    assert running.json()["progress"] == {"stage": "edit", "step": 5, "steps": 10, "fraction": 0.5}
    assert running.json()["eta_s"] >= 0
    assert running.json()["timings"]["waiting_s"] >= 0

    worker_side.succeed(claim)
    done = client.get(f"/v1/edits/{edit_id}")
    assert "retry-after" not in done.headers
    body = done.json()
    assert (body["state"], body["eta_s"]) == ("succeeded", None)
    assert body["expires_at"] > body["timings"]["finished_at"] > body["timings"]["created_at"]
    assert body["measures"]["after"] == [{"token": 0.5, "spatial": 0.25}]
    assert [each["href"] for each in body["results"]] == [f"/v1/edits/{edit_id}/result/0"]
    assert [each["name"] for each in body["artifacts"]] == ["attention-after-0.png"]
    # Nothing of the inside gets out.
    assert "key" not in body["results"][0]
    assert "tenant" not in body
    assert "worker" not in body


def test_failed_edit_reports_its_problem(client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
    worker_side.fail(worker_side.claim(edit_id))
    body = client.get(f"/v1/edits/{edit_id}").json()
    assert body["state"] == "failed"
    assert body["problem"]["code"] == "edit_diverged"


def test_unchanged_edit_is_304(client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
    claim = worker_side.claim(edit_id)
    first = client.get(f"/v1/edits/{edit_id}")
    tag = {"if-none-match": first.headers["etag"]}
    same = client.get(f"/v1/edits/{edit_id}", headers=tag)
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == first.headers["etag"]
    assert "retry-after" in same.headers
    worker_side.succeed(claim)
    assert client.get(f"/v1/edits/{edit_id}", headers=tag).status_code == 200


def test_queue_position_is_reported(
    client: httpx.Client, form: Form, announce: Announce, worker_side: WorkerSide
) -> None:
    info: ModelInfo = announce()
    worker_side.models.keep_pace(info.name, 0.1)
    ids = [form.send(client).json()["id"] for _ in range(3)]
    edits = [client.get(f"/v1/edits/{each}").json() for each in ids]
    assert [edit["queue_position"] for edit in edits] == [0, 1, 2]
    etas = [edit["eta_s"] for edit in edits]
    assert etas == sorted(etas)
    assert etas[0] == pytest.approx(0.1 * 50, rel=0.5)


def test_low_edits_are_counted_after_the_normal_ones(
    client: httpx.Client, form: Form, announce: Announce, worker_side: WorkerSide
) -> None:
    worker_side.models.keep_pace(announce().name, 0.1)
    form.data["priority"] = "low"
    low = form.send(client).json()["id"]
    form.data["priority"] = "normal"
    normal = form.send(client).json()["id"]
    listed = {edit["id"]: edit for edit in client.get("/v1/edits").json()["edits"]}
    assert [(listed[each]["priority"], listed[each]["queue_position"]) for each in (normal, low)] == [
        ("normal", 0),
        ("low", 1),
    ]
    assert listed[low]["eta_s"] == pytest.approx(2 * listed[normal]["eta_s"])
    assert client.get("/v1/models").json()["models"][0]["queued"] == 2
    client.delete(f"/v1/edits/{low}")
    assert worker_side.queue.waiting("demo") == {normal}


def test_a_deadline_is_shown_and_kept(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    form.data["deadline_s"] = "90"
    edit = form.send(client).json()
    created, deadline = (datetime.fromisoformat(each) for each in (edit["timings"]["created_at"], edit["deadline_at"]))
    assert (deadline - created).total_seconds() == pytest.approx(90, abs=0.01)
    worker_side.records.redis.hset(keys.EDIT + edit["id"], "deadline_at", 1.0)
    assert worker_side.records.claim(edit["id"], "w") is None
    late = client.get(f"/v1/edits/{edit['id']}").json()
    assert (late["state"], late["problem"]["code"]) == ("failed", "deadline")
    assert_problem(client.get(f"/v1/edits/{edit['id']}/result"), 409, "deadline")


def test_cancel_while_it_waits(client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
    first = client.put(f"/v1/edits/{edit_id}/cancel")
    assert (first.status_code, first.json()["state"]) == (202, "canceled")
    assert worker_side.queue.depth("demo") == 0
    again = client.put(f"/v1/edits/{edit_id}/cancel")
    assert (again.status_code, again.json()["state"]) == (200, "canceled")


def test_cancel_while_it_runs(client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
    claim = worker_side.claim(edit_id)
    response = client.put(f"/v1/edits/{edit_id}/cancel")
    assert response.status_code == 202
    assert (response.json()["state"], response.json()["cancel_requested"]) == ("running", True)
    worker_side.records.commit_canceled(claim)
    assert client.get(f"/v1/edits/{edit_id}").json()["state"] == "canceled"
    assert_problem(client.get(f"/v1/edits/{edit_id}/result"), 409, "not_succeeded")


def test_cancel_when_it_is_done_is_409(client: httpx.Client, edit_id: str, worker_side: WorkerSide) -> None:
    worker_side.succeed(worker_side.claim(edit_id))
    assert_problem(client.put(f"/v1/edits/{edit_id}/cancel"), 409, "already_finished")


def test_cancel_does_not_affect_other_edits(client: httpx.Client, form: Form) -> None:
    ids = [form.send(client).json()["id"] for _ in range(3)]
    client.put(f"/v1/edits/{ids[1]}/cancel")
    assert [client.get(f"/v1/edits/{each}").json()["state"] for each in ids] == ["queued", "canceled", "queued"]


@pytest.mark.parametrize("stage", ["queued", "running", "succeeded"])
def test_delete_removes_record_and_objects(
    stage: str, client: httpx.Client, edit_id: str, worker_side: WorkerSide
) -> None:
    if stage != "queued":
        claim = worker_side.claim(edit_id)
        if stage == "succeeded":
            worker_side.succeed(claim)
    response = client.delete(f"/v1/edits/{edit_id}")
    assert (response.status_code, response.content) == (204, b"")
    assert_problem(client.get(f"/v1/edits/{edit_id}"), 404, "not_found")
    assert worker_side.store.keys("local/") == []
    assert worker_side.queue.depth("demo") == 0
    assert open_ids(worker_side.records) == set()
    assert_problem(client.delete(f"/v1/edits/{edit_id}"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/result"),
        ("GET", "/result/1"),
        ("GET", "/artifacts"),
        ("GET", "/artifacts/a.png"),
        ("PUT", "/cancel"),
        ("DELETE", ""),
    ],
)
def test_an_unknown_id_is_404(method: str, path: str, client: httpx.Client) -> None:
    for edit_id in (UNKNOWN, "x", "%2e%2e", "a:b", "a" * 3000):
        assert_problem(client.request(method, f"/v1/edits/{edit_id}{path}"), 404, "not_found")


def test_lists_page_newest_first(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    ids = [form.send(client).json()["id"] for _ in range(5)]
    worker_side.succeed(worker_side.claim(ids[0]))
    first = client.get("/v1/edits", params={"limit": 2}).json()
    assert [edit["id"] for edit in first["edits"]] == [ids[4], ids[3]]
    # What arrives meanwhile shifts no page.
    form.send(client)
    second = client.get("/v1/edits", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    last = client.get("/v1/edits", params={"limit": 2, "cursor": second["next_cursor"]}).json()
    assert [edit["id"] for edit in (*second["edits"], *last["edits"])] == [ids[2], ids[1], ids[0]]
    assert last["next_cursor"] is None
    done = client.get("/v1/edits", params={"state": "succeeded"}).json()["edits"]
    assert [edit["id"] for edit in done] == [ids[0]]


@pytest.mark.parametrize(("name", "value"), [("limit", "0"), ("limit", "999"), ("state", "lost"), ("cursor", "x")])
def test_wrong_list_parameters_are_named(name: str, value: str, client: httpx.Client) -> None:
    assert_problem(client.get("/v1/edits", params={name: value}), 422, "invalid_request", name)


def test_concurrent_submits_are_all_kept(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: form.send(client), range(16)))
    assert {answer.status_code for answer in answers} == {202}
    ids = {answer.json()["id"] for answer in answers}
    assert len(ids) == 16
    assert open_ids(worker_side.records) == ids == worker_side.queue.waiting("demo")
