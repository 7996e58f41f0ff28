"""The result of an edit as the picture of the next one, over real HTTP."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from PIL import Image

from jobs.storage import image_key, job_prefix
from tests.service.conftest import Form, WorkerSide, assert_problem, mask, picture


def finished(client: httpx.Client, form: Form, worker_side: WorkerSide) -> str:
    """The id of a succeeded edit."""
    edit_id: str = form.send(client).json()["id"]
    worker_side.succeed(worker_side.claim(edit_id))
    return edit_id


def onward(source: str, **data: Any) -> Form:
    return Form(files=[("mask", mask())], data={"source_edit": source, "target_prompt": "a green room", **data})


def test_a_result_is_edited_further_and_the_chain_is_kept(
    client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    first = finished(client, form, worker_side)
    second = finished(client, onward(first), worker_side)
    third = onward(second, target_prompt="a purple room").send(client).json()
    assert (third["source_edit"], third["source_result"]) == (second, 0)
    assert third["history"] == [first, second, third["id"]]
    shown = client.get(f"/v1/edits/{second}").json()
    assert shown["history"] == [first, second]
    # What the first edit was to show is what its result shows.
    assert shown["request"]["source_prompt"] == form.data["target_prompt"]
    assert client.get(f"/v1/edits/{first}").json()["history"] == [first]
    # The picture is a copy of its own.
    for gone in (first, second):
        assert client.delete(f"/v1/edits/{gone}").status_code == 204
    assert worker_side.store.keys(job_prefix("local", second)) == []
    stored = Image.open(io.BytesIO(worker_side.store.get(image_key("local", third["id"]))))
    assert stored.tobytes() == Image.open(io.BytesIO(picture())).tobytes()
    assert client.get(f"/v1/edits/{third['id']}").json()["history"] == [first, second, third["id"]]


def test_an_explicit_source_prompt_wins(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    source = finished(client, form, worker_side)
    edit = onward(source, source_prompt="a room with a carpet").send(client).json()
    assert edit["request"]["source_prompt"] == "a room with a carpet"


def test_invalid_sources_have_their_own_errors(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    waiting = form.send(client).json()["id"]
    assert_problem(onward(waiting).send(client), 409, "not_ready")
    failed = form.send(client).json()["id"]
    worker_side.fail(worker_side.claim(failed))
    assert_problem(onward(failed).send(client), 409, "not_succeeded")
    assert_problem(onward("0" * 32).send(client), 404, "not_found")
    assert_problem(onward("../../secret").send(client), 422, "invalid_request", "source_edit")
    old = form.send(client).json()["id"]
    worker_side.keeping(-1.0).succeed(worker_side.claim(old))
    assert_problem(onward(old).send(client), 410, "expired")
    good = finished(client, form, worker_side)
    assert_problem(onward(good, source_result="1").send(client), 404, "no_such_file", "source_result")
    lost = finished(client, form, worker_side)
    worker_side.store.delete_prefix(job_prefix("local", lost))
    assert_problem(onward(lost).send(client), 410, "object_not_found")


@pytest.mark.parametrize("field", ["image", "source_edit", "source_prompt"])
def test_one_picture_and_a_prompt_are_needed(
    field: str, client: httpx.Client, form: Form, worker_side: WorkerSide
) -> None:
    if field == "image":
        form.files = form.files[1:]
    elif field == "source_edit":
        form.data["source_edit"] = finished(client, form, worker_side)
    else:
        del form.data["source_prompt"]
    assert_problem(form.send(client), 422, "invalid_request", field)


def test_the_mask_must_have_the_results_size(client: httpx.Client, form: Form, worker_side: WorkerSide) -> None:
    again = onward(finished(client, form, worker_side))
    again.files = [("mask", mask((40, 30), (1, 1, 9, 9)))]
    problem = assert_problem(again.send(client), 422, "mask_size_mismatch", "mask")
    assert "40x30" in problem["detail"]
    assert "64x48" in problem["detail"]
