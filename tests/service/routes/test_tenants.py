"""What one tenant sees of another: every operation of the contract has its line here, or the test fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest
from redis import Redis

from jobs.schema import JobRecord
from jobs.settings import Settings
from jobs.tenants.api_keys import SCOPES, ApiKeys
from service.openapi.__main__ import FILE
from tests.service.conftest import Announce, Form, WorkerSide, assert_problem
from tests.service.routes.test_masks import find

UNKNOWN = "0" * 32
OPERATIONS = {
    f"{method.upper()} {path}"
    for path, operations in json.loads(FILE.read_text())["paths"].items()
    for method in operations
}


@dataclass
class Scene:
    """A service with a finished edit and a mask of the tenant acme, and keys of two tenants."""

    client: httpx.Client
    form: Form
    worker: WorkerSide
    edit: JobRecord
    mask_id: str
    acme: dict[str, str]
    other: dict[str, str]

    def call(self, operation: str, headers: dict[str, str], edit_id: str) -> httpx.Response:
        """Ask for an operation on an edit or a mask."""
        method, path = operation.split(" ")
        path = (
            path.replace("{edit_id}", edit_id)
            .replace("{mask_id}", edit_id)
            .replace("{number}", "0")
            .replace("{name}", "attention-after-0.png")
        )
        return self.client.request(method, path, headers=headers)


def of_an_edit(operation: str, scene: Scene) -> None:
    """Another tenant's edit answers as one that never was, and stays as it is."""
    theirs = scene.call(operation, scene.other, scene.edit.id)
    nobodys = scene.call(operation, scene.other, UNKNOWN)
    for response in (theirs, nobodys):
        assert_problem(response, 404, "not_found")
    assert theirs.text == nobodys.text.replace(UNKNOWN, scene.edit.id)
    kept = scene.worker.records.require(scene.edit.id, "acme")
    assert not kept.cancel_requested
    assert scene.worker.store.get(kept.results[0].key)
    # Its own tenant gets what there is: the answer above has that one reason.
    assert scene.call(operation, scene.acme, scene.edit.id).status_code != 404


def of_a_mask(operation: str, scene: Scene) -> None:
    """Another tenant's mask answers as one that never was, and stays as it is."""
    theirs = scene.call(operation, scene.other, scene.mask_id)
    nobodys = scene.call(operation, scene.other, UNKNOWN)
    for response in (theirs, nobodys):
        assert_problem(response, 404, "not_found")
    assert theirs.text == nobodys.text.replace(UNKNOWN, scene.mask_id)
    assert not scene.worker.records.require_mask(scene.mask_id, "acme").cancel_requested
    assert scene.call(operation, scene.acme, scene.mask_id).status_code != 404


def making_a_mask(operation: str, scene: Scene) -> None:
    """An edit of another tenant is no source."""
    path = operation.removeprefix("POST ")
    data = {"source_edit": scene.edit.id, "points": "[[1, 1, 1]]"}
    other, own = (scene.client.post(path, files=data_only(data), headers=each) for each in (scene.other, scene.acme))
    assert_problem(other, 404, "not_found")
    assert own.status_code == 202, own.text


def data_only(data: dict[str, str]) -> list[tuple[str, tuple[None, str]]]:
    """A multipart form without a file."""
    return [(name, (None, value)) for name, value in data.items()]


def of_a_tenant(operation: str, scene: Scene) -> None:
    """Each sees its own: nothing of the other's answer is in it."""
    own, other = (scene.call(operation, headers, UNKNOWN) for headers in (scene.acme, scene.other))
    assert own.status_code == other.status_code == 200
    assert own.json() != other.json()
    assert scene.edit.id not in other.text
    assert "acme" not in other.text


def of_everybody(operation: str, scene: Scene) -> None:
    """The same for all, so nothing of a tenant's."""
    own, other = (scene.call(operation, headers, UNKNOWN) for headers in (scene.acme, scene.other))
    assert own.status_code == other.status_code == 200
    for response in (own, other):
        for secret in (scene.edit.id, "acme", scene.edit.request.target_prompt):
            assert secret not in response.text


def making_one(operation: str, scene: Scene) -> None:
    """An edit of another tenant is no source, and another tenant's Idempotency-Key is free."""
    assert operation == "POST /v1/edits"
    keyed = {"Idempotency-Key": "same"}
    first = scene.form.send(scene.client, {**scene.acme, **keyed})
    second = scene.form.send(scene.client, {**scene.other, **keyed})
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] != second.json()["id"]
    scene.form.files = [each for each in scene.form.files if each[0] == "mask"]
    scene.form.data["source_edit"] = scene.edit.id
    assert_problem(scene.form.send(scene.client, scene.other), 404, "not_found")
    assert scene.form.send(scene.client, scene.acme).status_code != 404


def previewing(operation: str, scene: Scene) -> None:
    """Another tenant's edit answers as one that never was; its own tenant is told why there is no preview."""
    for edit_id in (scene.edit.id, UNKNOWN):
        assert_problem(scene.call(operation, scene.other, edit_id), 404, "not_found")
    assert_problem(scene.call(operation, scene.acme, scene.edit.id), 404, "no_preview")


def making_an_image(operation: str, scene: Scene) -> None:
    """An edit of another tenant is no source; its own tenant is told of its results."""
    path = operation.removeprefix("POST ")
    files = [(name, ("mask.png", content, "image/png")) for name, content in scene.form.files if name == "mask"]
    data = {**scene.form.data, "prompt": scene.form.data["target_prompt"], "mask_mode": "white"}
    data |= {"source_edit": scene.edit.id, "source_result": "9"}
    theirs, own = (
        scene.client.post(path, files=files, data=data, headers=headers).json()["error"]["code"]
        for headers in (scene.other, scene.acme)
    )
    assert (theirs, own) == ("not_found", "no_such_file")


def resolving(operation: str, scene: Scene) -> None:
    """Another tenant's edit is no source."""
    body = {"target_prompt": "a blue room", "source_edit": scene.edit.id}
    own, other = (
        scene.client.post("/v1/edits/resolve", json=body, headers=headers) for headers in (scene.acme, scene.other)
    )
    assert operation == "POST /v1/edits/resolve"
    assert own.status_code == 200, own.text
    assert_problem(other, 404, "not_found")
    assert scene.edit.request.target_prompt not in other.text


EDIT, MASK = "/v1/edits/{edit_id}", "/v1/masks/{mask_id}"
MATRIX: dict[str, Callable[[str, Scene], None]] = {
    "POST /v1/edits": making_one,
    "POST /v1/edits/resolve": resolving,
    "GET /v1/edits": of_a_tenant,
    f"GET {EDIT}": of_an_edit,
    f"DELETE {EDIT}": of_an_edit,
    f"PUT {EDIT}/cancel": of_an_edit,
    f"GET {EDIT}/events": of_an_edit,
    f"GET {EDIT}/preview": previewing,
    "POST /v1/images/edits": making_an_image,
    "POST /v1/masks": making_a_mask,
    "GET /v1/masks": of_a_tenant,
    f"GET {MASK}": of_a_mask,
    f"DELETE {MASK}": of_a_mask,
    f"PUT {MASK}/cancel": of_a_mask,
    f"GET {MASK}/events": of_a_mask,
    f"GET {MASK}/candidates/{{number}}": of_a_mask,
    f"GET {EDIT}/result": of_an_edit,
    f"GET {EDIT}/result/{{number}}": of_an_edit,
    f"GET {EDIT}/artifacts": of_an_edit,
    f"GET {EDIT}/artifacts/{{name}}": of_an_edit,
    f"GET {EDIT}/webhook": of_an_edit,
    "GET /v1/usage": of_a_tenant,
    "GET /v1/models": of_everybody,
    "GET /v1/methods": of_everybody,
    "GET /livez": of_everybody,
    "GET /readyz": of_everybody,
    "GET /readyz/workers": of_everybody,
    "GET /metrics": of_everybody,
}
"""What is held against each operation."""


@pytest.fixture
def settings(locked_settings: Settings, redis_url: str) -> Settings:
    assert redis_url == locked_settings.redis_url
    return locked_settings


@pytest.fixture
def scene(locked: httpx.Client, settings: Settings, announce: Announce, form: Form, worker_side: WorkerSide) -> Scene:
    announce(finds_by=("points",))
    with Redis.from_url(settings.redis_url) as redis:
        acme, other = (
            {"Authorization": f"Bearer {ApiKeys(redis).create(tenant, SCOPES)[1]}"} for tenant in ("acme", "other")
        )
    webhook = {"webhook_url": "https://example.com/hook"}
    edit_id = Form(form.files, form.data | webhook).send(locked, acme).json()["id"]
    worker_side.queue.remove(worker_side.records.require(edit_id, "acme"))
    claim = worker_side.records.claim(edit_id, "worker-1")
    assert claim is not None
    worker_side.succeed(claim)
    click = {"source_edit": edit_id, "points": "[[20, 15, 1]]"}
    mask_id = locked.post("/v1/masks", files=data_only(click), headers=acme).json()["id"]
    find(settings, mask_id, (10, 10, 30, 20))
    return Scene(locked, form, worker_side, worker_side.records.require(edit_id, "acme"), mask_id, acme, other)


def test_every_operation_is_covered() -> None:
    assert set(MATRIX) == OPERATIONS


@pytest.mark.parametrize("operation", sorted(MATRIX))
def test_tenants_cannot_see_each_others_edits(operation: str, scene: Scene) -> None:
    MATRIX[operation](operation, scene)
